"""The shaders, as text: one module a kind of surface, `common` for what they share."""
