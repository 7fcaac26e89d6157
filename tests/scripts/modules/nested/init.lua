return "an init file"
