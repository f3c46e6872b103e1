"""Files in and out: pictures, recordings and videos."""
