"""Parts of `benchmarks.rendered_people`: the small model on people whose every true picture can be rendered."""
