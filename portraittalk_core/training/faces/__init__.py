"""Train the face pack: `train.train_faces`. Detector, points and recogniser, written as ONNX files."""
