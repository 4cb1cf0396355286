"""Any HDF5, NPZ or MATLAB file, read by a map that says what lies where."""
