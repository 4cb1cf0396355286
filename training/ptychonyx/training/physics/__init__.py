"""The physics that trains every network: merging, the forward model, the losses."""
