--- The tokenizer of the built-in model, as a `tokenizer.json`: one token a byte, no merges, and two special tokens.
--
-- It is a byte-level BPE file like any other (GPT-2's alphabet, arXiv 1909.03341), so the ordinary loader reads it, and
-- every text has a token sequence. The id of a byte's token is the byte.

local lota = require "lota"

local bytes = { start = 257, stop = 256, size = 258 }

local start_text, stop_text = "<|start|>", "<|end|>"

--- The character that stands for a byte in a byte-level vocabulary: itself when it is printable, else one from U+0100 on.
local function alphabet()
  local out, next_spare = {}, 256
  for byte = 0, 255 do
    local printable = (byte >= 33 and byte <= 126) or (byte >= 161 and byte <= 172) or byte >= 174
    if printable then
      out[byte] = utf8.char(byte)
    else
      out[byte] = utf8.char(next_spare)
      next_spare = next_spare + 1
    end
  end
  return out
end

local function added(id, text)
  return (
    '    {"id": %d, "content": %s, "single_word": false, "lstrip": false, "rstrip": false,'
    .. ' "normalized": false, "special": true}'
  ):format(id, lota.json.encode(text))
end

--- The text of tokenizer.json, the same on every call.
function bytes.tokenizer_json()
  local characters, vocabulary = alphabet(), {}
  for byte = 0, 255 do
    vocabulary[#vocabulary + 1] = ("      %s: %d"):format(lota.json.encode(characters[byte]), byte)
  end
  vocabulary[#vocabulary + 1] = ("      %s: %d"):format(lota.json.encode(stop_text), bytes.stop)
  vocabulary[#vocabulary + 1] = ("      %s: %d"):format(lota.json.encode(start_text), bytes.start)
  return table.concat({
    "{",
    '  "version": "1.0",',
    '  "truncation": null,',
    '  "padding": null,',
    '  "added_tokens": [',
    added(bytes.stop, stop_text) .. ",",
    added(bytes.start, start_text),
    "  ],",
    '  "normalizer": null,',
    '  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},',
    '  "post_processor": null,',
    '  "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},',
    '  "model": {',
    '    "type": "BPE",',
    '    "dropout": null,',
    '    "unk_token": null,',
    '    "continuing_subword_prefix": null,',
    '    "end_of_word_suffix": null,',
    '    "fuse_unk": false,',
    '    "byte_fallback": false,',
    '    "ignore_merges": false,',
    '    "vocab": {',
    table.concat(vocabulary, ",\n"),
    "    },",
    '    "merges": []',
    "  }",
    "}",
    "",
  }, "\n")
end

return bytes
