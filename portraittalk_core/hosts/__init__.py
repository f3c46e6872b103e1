"""Run U-Nets of other libraries with our branches attached."""
