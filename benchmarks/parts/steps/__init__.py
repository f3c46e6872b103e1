"""One denoising step of the SD1.5 stack, ours and diffusers', on the same random weights."""
