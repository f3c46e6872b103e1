"""What `benchmarks.real_people` measures: clips and photographs of real people, read by MediaPipe."""
