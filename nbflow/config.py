"""What a running body asks for by name: its config, store and stream writer."""

from nbflow._engine.door import get_config, get_store, get_stream_writer

__all__ = ["get_config", "get_store", "get_stream_writer"]
