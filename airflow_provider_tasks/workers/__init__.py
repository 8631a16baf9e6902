"""Where tasks run: settings, payload, the workers behind one interface, and what their failures mean."""
