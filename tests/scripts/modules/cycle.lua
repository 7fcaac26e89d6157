return require "modules.cycle"
