"""The platform: how it is read (`sources`), what an answer means (`facts`), one moment of it (`snapshot`)."""
