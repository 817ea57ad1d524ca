"""One kernel's workflows: where cells, the engine, the store and panels meet."""
