"""The comparison of patterns as an ONNX graph, so that an execution provider makes the passes."""
