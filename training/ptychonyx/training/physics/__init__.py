"""What every network is trained with: merging, the forward model, the losses."""
