//! Recipes: how a net is trained, as a TOML file.
