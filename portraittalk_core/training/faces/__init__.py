"""Train the face pack: detector, points and recogniser, written as ONNX files."""
