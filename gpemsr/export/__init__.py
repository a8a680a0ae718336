"""A trained network for other programs: a bioimage.io package with TorchScript and ONNX weights."""
