---@meta lota
-- Written by `lota types`.

---A ticket that is applied to a model.
---@class Applied
local Applied = {}

---Whether the ticket is still applied.
---@return boolean # whether it is
function Applied:holds() end

---@class lota.Applied.swap.Options
---@field name? string what messages call it; the method if not given
---@field any_base? boolean apply it to another base than its own, too

---Takes the ticket off and applies another, or does neither.
---@param ticket Ticket the other ticket
---@param options? lota.Applied.swap.Options
---@return Applied # with which the other one is taken off again
function Applied:swap(ticket, options) end

---Takes the ticket off: the overwritten bits come back.
function Applied:unapply() end

---A progress bar.
---@class Bar
local Bar = {}

---Ends the bar.
function Bar:done() end

---Moves the bar.
---@param done integer steps finished
---@param note? string a short figure beside the bar; the last one stays if not given
function Bar:update(done, note) end

---Token sequences laid end to end, without padding, with the labels to learn.
---@class Batch
---@operator len: integer
local Batch = {}

---Sums a value of each labelled position over each sequence.
---@param values Tensor one number for each labelled position
---@return Tensor # one number for each sequence
function Batch:by_sequence(values) end

---The number of sequences.
---@return integer # how many
function Batch:count() end

---For each sequence, the example it came from.
---@return integer[] # positions in the examples
function Batch:examples() end

---The number of positions with a label.
---@return integer # how many
function Batch:labelled() end

---The token to be predicted at each position of each sequence.
---@return integer[][] # token ids, -100 where nothing is to be predicted
function Batch:labels() end

---For each labelled position, the sequence it lies in.
---@return integer[] # positions among the sequences
function Batch:sequence_of() end

---The number of tokens.
---@return integer # how many
function Batch:size() end

---The tokens of each sequence.
---@return integer[][] # token ids
function Batch:tokens() end

---An endless stream of batches over a set of examples, epoch after epoch.
---@class Batches
---@operator len: integer
local Batches = {}

---All batches of the current epoch, without moving the stream.
---@return Batch[] # the batches
function Batches:epoch() end

---A hash of the examples and the options, to name the data in a ticket.
---@return string # hexadecimal
function Batches:fingerprint() end

---The number of batches in the current epoch.
---@return integer # how many
function Batches:len() end

---The next batch; after the last one of an epoch comes the first of the next.
---@return Batch # the batch
function Batches:next() end

---Moves the stream to a saved place.
---@param state table what state gave, of a stream over the same examples with the same options
function Batches:restore(state) end

---Where the stream stands, to be given to restore.
---@return table # epoch (from 0), position, fingerprint
function Batches:state() end

---Token sequences with the targets to learn.
---@class Examples
---@operator len: integer
local Examples = {}

---The number of examples.
---@return integer # how many
function Examples:count() end

---One example.
---@param i integer which one
---@return table # tokens and labels (-100 where nothing is learnt)
function Examples:get(i) end

---The number of tokens.
---@return table # total, targets (those to learn), longest
function Examples:tokens() end

---What was cut to make the examples fit.
---@return table # examples, prompts, targets (counts), prompt_tokens, target_tokens (tokens lost)
function Examples:truncation() end

---Changes of low rank of a model's matrices.
---@class Lora
local Lora = {}

---@class lota.Lora.apply.Options
---@field scale? number what the change is multiplied with

---Adds its change to a model's weights, in place.
---@param model Model the model
---@param options? lota.Lora.apply.Options
function Lora:apply(model, options) end

---Its change of a model as a task vector.
---@param model Model the model
---@return Values # every entry of the parameters that it changes; the others are not scored
function Lora:delta(model) end

---What it is.
---@return table # rank, alpha, rslora, base, targets, saved (modules trained in full), modules and values (how many), error (of what was extracted, relative)
function Lora:info() end

---The modules whose weights it changes.
---@return table[] # name, shape, rank, scale; where it was extracted, norm of the change and error (absolute)
function Lora:modules() end

---@class lota.Lora.save.Options
---@field dtype? string how factors are written: f32, bf16 or f16
---@field base? string the name of the base model to write into its configuration

---Writes the adapter's folder, as peft reads it.
---@param path string the folder
---@param options? lota.Lora.save.Options
---@return string[] # the files
function Lora:save(path, options) end

---For each parameter of a model, the set of entries that may change.
---@class Mask
---@operator len: integer
---@operator bnot: Mask
---@operator sub(Mask): Mask
---@operator band(Mask): Mask
---@operator bxor(Mask): Mask
---@operator bor(Mask): Mask
local Mask = {}

---How many entries are in the mask, by group.
---@param group string parameter, layer, role or all; what lies outside the layers is the layer `outside`
---@return table # the count of each group by its name
function Mask:by(group) end

---The number of entries in the mask.
---@return integer # how many
function Mask:count() end

---How many entries are in the mask, by group, in order and with densities.
---@param group string parameter, layer, role or all
---@return table[] # for each group: group, entries, selected, density
function Mask:counts(group) end

---@class lota.Mask.density.Options
---@field within? Mask of the entries of this mask; of the whole model if not given

---The fraction of entries that are in the mask.
---@param options? lota.Mask.density.Options
---@return number # from 0 to 1
function Mask:density(options) end

---Whether no entry is in both masks.
---@param other Mask the other mask
---@return boolean # whether they are disjoint
function Mask:disjoint(other) end

---Whether both masks hold the same entries of the same model.
---@param other Mask the other mask
---@return boolean # whether they are equal
function Mask:equals(other) end

---The size of the intersection over the size of the union.
---@param other Mask the other mask
---@return number # from 0 (disjoint) to 1 (equal)
function Mask:jaccard(other) end

---@class lota.Mask.overlap.Options
---@field by? string parameter, layer, role or all

---How two masks meet, by group.
---@param other Mask the other mask
---@param options? lota.Mask.overlap.Options
---@return table[] # for each group: group, entries, first, second, both, jaccard
function Mask:overlap(other, options) end

---The flat positions of one parameter's entries that are in the mask.
---@param name string the parameter
---@return Tensor # u32, one dimension, ascending
function Mask:positions(name) end

---Writes the mask to a file.
---@param path string the file
---@return integer # its size in bytes
function Mask:save(path) end

---Whether every entry of this mask is in the other.
---@param other Mask the other mask
---@return boolean # whether it is a subset
function Mask:subset(other) end

---The mask of one parameter as a tensor of its shape.
---@param name string the parameter
---@return Tensor # u8: 1 for an entry in the mask, 0 for all others
function Mask:tensor(name) end

---A decoder-only language model: its weights, configuration and tokenizer.
---@class Model
---@operator len: integer
local Model = {}

---The names of the tickets that are applied to the model, lowest first.
---@return string[] # the names
function Model:applied() end

---@class lota.Model.chat.Options
---@field add_generation_prompt? boolean end where the assistant's answer begins
---@field tools? table descriptions of tools, for templates that know them
---@field now? integer the time in seconds since 1970, for templates that write the date
---@field variables? table further variables of the template, by name (enable_thinking, …)

---The text of a conversation, by the model's chat template.
---@param messages table[] the messages, each {role =, content =}
---@param options? lota.Model.chat.Options
---@return string # the text
function Model:chat(messages, options) end

---A model that shares no weights with this one.
---@return Model # the copy
function Model:clone() end

---The model's configuration, as its config.json has it.
---@return table # the fields
function Model:config() end

---@class lota.Model.delta.Options
---@field params? string|string[]|function which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean

---How far each entry has moved since a snapshot: now - then, in f32.
---@param before Snapshot|Model the state to compare with
---@param options? lota.Model.delta.Options
---@return Values # the task vector; the other parameters are not scored
function Model:delta(before, options) end

---@class lota.Model.detokenize.Options
---@field special? boolean write special tokens out instead of leaving them away

---The text of token ids.
---@param ids integer[] token ids, from 0
---@param options? lota.Model.detokenize.Options
---@return string # the text
function Model:detokenize(ids, options) end

---The number of entries of all parameters together.
---@return integer # how many
function Model:entries() end

---A hash of names, shapes and values of the parameters: which weights these are.
---@return string # hexadecimal
function Model:fingerprint() end

---@class lota.Model.generate.Options
---@field max_tokens? integer the most new tokens
---@field temperature? number divides the logits; 0 takes the likeliest token
---@field top_k? integer consider only so many of the likeliest tokens
---@field top_p? number consider only the fewest tokens that are this probable together
---@field min_p? number consider only tokens this probable, relative to the likeliest
---@field repetition_penalty? number above 1, makes tokens that occurred less likely
---@field stop? string|string[] texts that end it; what is returned ends before them
---@field seed? integer where randomness begins
---@field batch? integer how many prompts are run together
---@field special? boolean write special tokens out instead of leaving them away
---@field on_text? function function(piece, i) called as text comes; false ends everything
---@field details? boolean return {text =, tokens =, finish = 'eos', 'stop' or 'length'} instead of text

---Continues a text, or several.
---@param prompt string|string[]|integer[] the text, the texts, or token ids
---@param options? lota.Model.generate.Options
---@return string|string[] # what was generated, without the prompt; a list if the prompt was a list of texts
function Model:generate(prompt, options) end

---@class lota.Model.hash.Options
---@field mask? Mask hash only the entries in this mask
---@field outside? Mask hash only the entries outside of this mask

---A hash of the bits of the weights, or of part of them: the proof that they did not move.
---@param options? lota.Model.hash.Options
---@return string # hexadecimal
function Model:hash(options) end

---What there is to know about the model at a glance.
---@return table # architecture, family, source, entries, bytes, dtype, layers, hidden, heads, vocab, context, …
function Model:info() end

---The logits that follow each token.
---@param tokens integer[]|string|Batch|Batches|Examples|Batch[] token ids, a text, or batches
---@return Tensor # one row for each token, one column for each token of the vocabulary; of several batches a list of them
function Model:logits(tokens) end

---The log-probability of each label of a batch.
---@param batch Batch the batch (or Batches: their current epoch; or Examples)
---@return Tensor # one number for each labelled position, in order
function Model:logp(batch) end

---A copy of a parameter.
---@param name string its Hugging Face name
---@return Tensor # its values, in the type it is held in
function Model:param(name) end

---The parameters of the model.
---@return table[] # name, shape, role, layer (from 0, as in names; nil outside the layers) and entries of each
function Model:params() end

---@class lota.Model.restore.Options
---@field within? Mask only these entries; all if not given

---Puts the bits of a snapshot back. Tickets that were applied are then applied no more.
---@param snapshot Snapshot of this model, or of one with the same parameters
---@param options? lota.Model.restore.Options
function Model:restore(snapshot, options) end

---@class lota.Model.save.Options
---@field dtype? string f32, bf16 or f16; the type the weights are held in if not given
---@field shard? string|integer the most bytes of tensors in one file, as a number or 500MB, 2GB, …

---Writes the model as a Hugging Face folder, which transformers and other tools load.
---@param dir string the folder
---@param options? lota.Model.save.Options
---@return string[] # the files
function Model:save(dir, options) end

---Overwrites a parameter.
---@param name string its Hugging Face name
---@param values Tensor the new values, in its shape; they are rounded to the type it is held in
function Model:set_param(name, values) end

---The bits of the weights as they are now.
---@return Snapshot # a copy
function Model:snapshot() end

---@class lota.Model.tokenize.Options
---@field special? boolean add what the tokenizer puts around every text

---The token ids of a text.
---@param text string the text
---@param options? lota.Model.tokenize.Options
---@return integer[] # token ids, from 0
function Model:tokenize(text, options) end

---The model's tokenizer.
---@return Tokenizer # the tokenizer
function Model:tokenizer() end

---A copy whose head is a weight of its own.
---@return Model # the copy
function Model:untied() end

---A seeded random generator; the same seed gives the same numbers everywhere.
---@class Rng
local Rng = {}

---A whole number from 0 to n - 1.
---@param n integer how many values are possible, at least 1
---@return integer # uniform
function Rng:below(n) end

---An independent generator for a named purpose.
---@param purpose string what it is for
---@return Rng # the new generator; this one does not move
function Rng:fork(purpose) end

---A number with mean 0 and deviation 1.
---@return number # normally distributed
function Rng:normal() end

---The values of a list in a random order.
---@param list table the values; the list itself stays as it is
---@return table # the same values, every order as likely as another
function Rng:shuffle(list) end

---A number in [0, 1).
---@return number # uniform
function Rng:uniform() end

---The labelled positions that a chunk of logits is of, for a loss over logits.
---@class Rows
---@operator len: integer
local Rows = {}

---The batch that the rows are of.
---@return Batch # the batch, of which the rows may be a part
function Rows:batch() end

---The label of each row: the token to be predicted there.
---@return Tensor # token ids, from 0: one for each row, i64
function Rows:labels() end

---How many rows there are.
---@return integer # the number of rows of the logits
function Rows:len() end

---The logits of another model at the same positions.
---@param model Model the other model, which reads the same tokens
---@return Tensor # one row for each row, one column for each token of its vocabulary, f32
function Rows:logits(model) end

---The entry of each row at its label.
---@param x Tensor one row for each row, one column for each token of the vocabulary
---@return Tensor # one number for each row
function Rows:pick(x) end

---The position of each row in its sequence.
---@return Tensor # positions stored from 0: one for each row, i64
function Rows:positions() end

---The sequence of the batch that each row belongs to.
---@return Tensor # positions among the sequences stored from 0: one for each row, i64
function Rows:sequences() end

---A run folder.
---@class Run
local Run = {}

---@class lota.Run.asked.Options
---@field resume? boolean the run goes on, so it must be asked the same

---Keeps what a run is asked to do, or compares with what it kept.
---@param what table what decides the result
---@param options? lota.Run.asked.Options
function Run:asked(what, options) end

---The folder of this run.
---@return string # the path
function Run:dir() end

---Adds one record to metrics.jsonl; it is on the disk when this returns.
---@param record table the record
function Run:log(record) end

---The path of a file of this run, its folder made.
---@param name string the name inside the run folder, such as plots/loss.svg
---@return string # the path
function Run:path(name) end

---The records logged so far, those of before a resume included.
---@return table[] # the records in order
function Run:records() end

---Writes a file of this run: all of it or nothing.
---@param name string the name inside the run folder
---@param text string what to write
---@return string # the path
function Run:write(name, text) end

---The bits of a model's weights at one moment.
---@class Snapshot
local Snapshot = {}

---Statistics of the linear layers of a model over some data.
---@class Stats
local Stats = {}

---The Fisher information as Values.
---@return Values # a number for each entry of the parameters that it was gathered of
function Stats:fisher() end

---The statistics of a kind of one layer.
---@param kind string input_norm, output_norm, output_magnitude, gram or fisher
---@param name string the weight of the layer; of fisher, the parameter
---@return Tensor # f32: input_norm {in}, output_norm and output_magnitude {out}, gram {in, in}, fisher in the parameter's shape
function Stats:get(kind, name) end

---What the statistics were gathered from.
---@return table # model (the fingerprint of its weights), data (a hash of tokens and labels), tokens, sequences
function Stats:info() end

---The kinds of statistics there are.
---@return string[] # some of input_norm, output_norm, output_magnitude, gram, fisher
function Stats:kinds() end

---The names of the weights of the layers that have statistics.
---@param kind? string of this kind; of any but fisher if not given
---@return string[] # in the model's order
function Stats:names(kind) end

---Writes the statistics to a file, with what they were gathered from.
---@param path string the file
---@return integer # its size in bytes
function Stats:save(path) end

---The number of sequences that were seen.
---@return integer # how many
function Stats:sequences() end

---The number of tokens that were seen.
---@return integer # how many
function Stats:tokens() end

---Numbers of one type in a rectangular shape.
---@class Tensor
---@operator add(Tensor|number): Tensor
---@operator div(Tensor|number): Tensor
---@operator len: integer
---@operator mul(Tensor|number): Tensor
---@operator unm: Tensor
---@operator pow(Tensor|number): Tensor
---@operator sub(Tensor|number): Tensor
local Tensor = {}

---The absolute value.
---@return Tensor # a new tensor of the same shape
function Tensor:abs() end

---Sum.
---@param other Tensor|number the other side; shapes are stretched to fit, as in PyTorch
---@return Tensor # a new tensor
function Tensor:add(other) end

---As add, but changes this tensor.
---@param other Tensor|number the other side
---@return Tensor # this tensor
function Tensor:add_(other) end

---@class lota.Tensor.argmax.Options
---@field keep? boolean keeps the dimension, with length 1

---The place of the largest, or of the first NaN, counted from 0 in both languages.
---@param dim? integer the dimension to reduce; all if not given
---@param options? lota.Tensor.argmax.Options
---@return Tensor # the reduced tensor; without a dimension it holds one number (see item)
function Tensor:argmax(dim, options) end

---@class lota.Tensor.argmin.Options
---@field keep? boolean keeps the dimension, with length 1

---The place of the smallest, or of the first NaN, counted from 0 in both languages.
---@param dim? integer the dimension to reduce; all if not given
---@param options? lota.Tensor.argmin.Options
---@return Tensor # the reduced tensor; without a dimension it holds one number (see item)
function Tensor:argmin(dim, options) end

---Limited to a range.
---@param low number the least
---@param high number the most
---@return Tensor # a new tensor
function Tensor:clamp(low, high) end

---A copy with its own numbers, outside any graph.
---@return Tensor # the copy
function Tensor:clone() end

---The cosine.
---@return Tensor # a new tensor of the same shape
function Tensor:cos() end

---The number of elements.
---@return integer # the product of the shape
function Tensor:count() end

---The running sum along a dimension.
---@param dim? integer the dimension; the last if not given
---@return Tensor # a new tensor of the same shape: f32, of f64 f64, of whole numbers i64
function Tensor:cumsum(dim) end

---The same numbers, outside the recorded graph.
---@return Tensor # a tensor of the same numbers, which are not copied until one of the two is changed
function Tensor:detach() end

---Where the tensor lies.
---@return string # cpu, cuda:N or metal
function Tensor:device() end

---Quotient.
---@param other Tensor|number the other side; shapes are stretched to fit, as in PyTorch
---@return Tensor # a new tensor
function Tensor:div(other) end

---As div, but changes this tensor.
---@param other Tensor|number the other side
---@return Tensor # this tensor
function Tensor:div_(other) end

---The type of the numbers.
---@return string # f32, bf16, ...
function Tensor:dtype() end

---@class lota.Tensor.entropy.Options
---@field keep? boolean keeps the dimension, with length 1

---The entropy, in nats, of the distribution that logits give.
---@param dim? integer the dimension of the distributions; the last if not given
---@param options? lota.Tensor.entropy.Options
---@return Tensor # one number for each distribution
function Tensor:entropy(dim, options) end

---Whether equal, element by element.
---@param other Tensor|number the other side
---@return Tensor # u8: 1 where it holds, 0 where not
function Tensor:eq(other) end

---Whether two tensors have the same shape, type and numbers.
---@param other Tensor the other
---@return boolean # true if they are the same
function Tensor:equals(other) end

---e to the power of it.
---@return Tensor # a new tensor of the same shape
function Tensor:exp() end

---Repeated along dimensions of length 1, without copying.
---@param shape integer[] the new shape
---@return Tensor # the wider tensor
function Tensor:expand(shape) end

---All elements in one dimension.
---@return Tensor # one dimension
function Tensor:flatten() end

---Rounded down.
---@return Tensor # a new tensor of the same shape
function Tensor:floor() end

---One element a place along a dimension, as PyTorch's gather.
---@param dim integer the dimension
---@param positions Tensor positions stored from 0, in the shape of the result
---@return Tensor # the elements
function Tensor:gather(dim, positions) end

---Whether greater or equal, element by element.
---@param other Tensor|number the other side
---@return Tensor # u8: 1 where it holds, 0 where not
function Tensor:ge(other) end

---Whether greater, element by element.
---@param other Tensor|number the other side
---@return Tensor # u8: 1 where it holds, 0 where not
function Tensor:gt(other) end

---The part at a position: a row of a matrix, or a number.
---@param i integer|integer[] the position in the first dimension, or several dimensions' positions
---@param ... integer positions in the further dimensions
---@return Tensor|number # a tensor, or a number once every dimension has its position
function Tensor:index(i, ...) end

---The number of a tensor with one element.
---@return number # the number
function Tensor:item() end

---@class lota.Tensor.kl.Options
---@field keep? boolean keeps the dimension, with length 1

---The divergence KL(p || q) of two distributions, in nats.
---@param log_q Tensor the log-probabilities of q, in the same shape
---@param dim? integer the dimension of the distributions; the last if not given
---@param options? lota.Tensor.kl.Options
---@return Tensor # one number for each pair of distributions
function Tensor:kl(log_q, dim, options) end

---Whether less or equal, element by element.
---@param other Tensor|number the other side
---@return Tensor # u8: 1 where it holds, 0 where not
function Tensor:le(other) end

---The length of the first dimension.
---@return integer # 1 for a single number
function Tensor:len() end

---The natural logarithm.
---@return Tensor # a new tensor of the same shape
function Tensor:log() end

---The logarithm of softmax.
---@param dim? integer the dimension; the last if not given
---@return Tensor # a new tensor of the same shape
function Tensor:log_softmax(dim) end

---The logarithm of the sigmoid: -log(1 + exp(-x)).
---@return Tensor # a new tensor of the same shape
function Tensor:logsigmoid() end

---@class lota.Tensor.logsumexp.Options
---@field keep? boolean keeps the dimension, with length 1

---The logarithm of the sum of exponentials, without overflow.
---@param dim? integer the dimension to reduce; all if not given
---@param options? lota.Tensor.logsumexp.Options
---@return Tensor # the reduced tensor; without a dimension it holds one number (see item)
function Tensor:logsumexp(dim, options) end

---Whether less, element by element.
---@param other Tensor|number the other side
---@return Tensor # u8: 1 where it holds, 0 where not
function Tensor:lt(other) end

---The elements where another tensor is not 0.
---@param mask Tensor what is not 0 in it is taken; comparisons (gt, eq, ...) give such tensors
---@return Tensor # one dimension, in order
function Tensor:masked_select(mask) end

---The matrix product, in batches if there are more dimensions.
---@param other Tensor the right side; a vector on either side is taken as a row or column
---@return Tensor # the product
function Tensor:matmul(other) end

---@class lota.Tensor.max.Options
---@field keep? boolean keeps the dimension, with length 1

---The largest; NaN where there is one.
---@param dim? integer the dimension to reduce; all if not given
---@param options? lota.Tensor.max.Options
---@return Tensor # the reduced tensor; without a dimension it holds one number (see item)
function Tensor:max(dim, options) end

---The larger of two, element by element.
---@param other Tensor|number the other side; shapes are stretched to fit, as in PyTorch
---@return Tensor # a new tensor
function Tensor:maximum(other) end

---@class lota.Tensor.mean.Options
---@field keep? boolean keeps the dimension, with length 1

---The mean.
---@param dim? integer the dimension to reduce; all if not given
---@param options? lota.Tensor.mean.Options
---@return Tensor # the reduced tensor; without a dimension it holds one number (see item)
function Tensor:mean(dim, options) end

---@class lota.Tensor.min.Options
---@field keep? boolean keeps the dimension, with length 1

---The smallest; NaN where there is one.
---@param dim? integer the dimension to reduce; all if not given
---@param options? lota.Tensor.min.Options
---@return Tensor # the reduced tensor; without a dimension it holds one number (see item)
function Tensor:min(dim, options) end

---The smaller of two, element by element.
---@param other Tensor|number the other side; shapes are stretched to fit, as in PyTorch
---@return Tensor # a new tensor
function Tensor:minimum(other) end

---Product, element by element.
---@param other Tensor|number the other side; shapes are stretched to fit, as in PyTorch
---@return Tensor # a new tensor
function Tensor:mul(other) end

---As mul, but changes this tensor.
---@param other Tensor|number the other side
---@return Tensor # this tensor
function Tensor:mul_(other) end

---@class lota.Tensor.narrow.Options
---@field len? integer how many; to the end if not given

---A range of one dimension.
---@param dim integer the dimension
---@param start integer the first position
---@param options? lota.Tensor.narrow.Options
---@return Tensor # the part; what is changed in it in place is not changed in the whole
function Tensor:narrow(dim, start, options) end

---Whether different, element by element.
---@param other Tensor|number the other side
---@return Tensor # u8: 1 where it holds, 0 where not
function Tensor:ne(other) end

---The negative.
---@return Tensor # a new tensor of the same shape
function Tensor:neg() end

---Where the tensor is not 0.
---@return Tensor # u32, {how many, number of dimensions}
function Tensor:nonzero() end

---The Euclidean length of all elements together.
---@return Tensor # one number
function Tensor:norm() end

---The dimensions in another order.
---@param dims integer[] the dimensions in their new order
---@return Tensor # the rearranged tensor
function Tensor:permute(dims) end

---Power.
---@param other Tensor|number the other side; shapes are stretched to fit, as in PyTorch
---@return Tensor # a new tensor
function Tensor:pow(other) end

---A matrix as an orthogonal one times a triangular one: q and r.
---@return Tensor[] # q {rows, k} with orthonormal columns, r {k, columns} with zeros below its diagonal
function Tensor:qr() end

---@class lota.Tensor.quantile.Options
---@field keep? boolean keeps the dimension, with length 1

---The number below which a fraction of the others lies.
---@param q number the fraction, from 0 (the smallest) to 1 (the largest); 0.5 is the median
---@param dim? integer the dimension to reduce; all if not given
---@param options? lota.Tensor.quantile.Options
---@return Tensor # the reduced tensor; without a dimension it holds one number (see item)
function Tensor:quantile(q, dim, options) end

---The number of dimensions.
---@return integer # 0 for a single number
function Tensor:rank() end

---The number, or 0 if it is negative.
---@return Tensor # a new tensor of the same shape
function Tensor:relu() end

---A tensor whose uses are recorded, for `lota.grad`.
---@return Tensor # a variable with a copy of these numbers
function Tensor:requires_grad() end

---The same numbers in another shape.
---@param shape integer|integer[] the new shape; one length may be -1
---@return Tensor # the tensor in its new shape
function Tensor:reshape(shape) end

---Rounded to the nearest whole number.
---@return Tensor # a new tensor of the same shape
function Tensor:round() end

---@class lota.Tensor.scatter.Options
---@field values Tensor|number what to put there; a number is put everywhere
---@field add? boolean adds to what is there, in place of replacing it (PyTorch's scatter_add)

---Values put in place along a dimension, as PyTorch's scatter.
---@param dim integer the dimension
---@param positions Tensor positions stored from 0, in the shape of the values
---@param options lota.Tensor.scatter.Options
---@return Tensor # a new tensor of the same shape
function Tensor:scatter(dim, positions, options) end

---The parts at several positions of a dimension.
---@param dim integer the dimension
---@param positions integer[]|Tensor a list of positions, or a tensor of them stored from 0
---@return Tensor # the parts, in the order given
function Tensor:select(dim, positions) end

---Replaces the numbers of this tensor.
---@param other Tensor a tensor of the same shape
---@return Tensor # this tensor
function Tensor:set_(other) end

---The length of each dimension.
---@return integer[] # one number a dimension
function Tensor:shape() end

---1 / (1 + exp(-x)).
---@return Tensor # a new tensor of the same shape
function Tensor:sigmoid() end

----1, 0 or 1.
---@return Tensor # a new tensor of the same shape
function Tensor:sign() end

---The sine.
---@return Tensor # a new tensor of the same shape
function Tensor:sin() end

---Positive numbers that sum to 1.
---@param dim? integer the dimension; the last if not given
---@return Tensor # a new tensor of the same shape
function Tensor:softmax(dim) end

---The solution x of the linear equations a * x = b, for a square matrix a.
---@param b Tensor the right sides: {rows} for one, {rows, n} for n of them
---@return Tensor # the solutions, in the shape of b
function Tensor:solve(b) end

---@class lota.Tensor.sort.Options
---@field descending? boolean the largest first

---The numbers in order along a dimension, and where they were.
---@param dim? integer the dimension; the last if not given
---@param options? lota.Tensor.sort.Options
---@return Tensor[] # two tensors: the values, and where each was along the dimension, counted from 0 (u32)
function Tensor:sort(dim, options) end

---The square root.
---@return Tensor # a new tensor of the same shape
function Tensor:sqrt() end

---The square.
---@return Tensor # a new tensor of the same shape
function Tensor:square() end

---Without a dimension of length 1.
---@param dim integer the dimension
---@return Tensor # one dimension less
function Tensor:squeeze(dim) end

---@class lota.Tensor.std.Options
---@field keep? boolean keeps the dimension, with length 1

---The standard deviation over n - 1: PyTorch's std with its default, correction = 1. NaN of fewer than two.
---@param dim? integer the dimension to reduce; all if not given
---@param options? lota.Tensor.std.Options
---@return Tensor # the reduced tensor; without a dimension it holds one number (see item)
function Tensor:std(dim, options) end

---Difference.
---@param other Tensor|number the other side; shapes are stretched to fit, as in PyTorch
---@return Tensor # a new tensor
function Tensor:sub(other) end

---As sub, but changes this tensor.
---@param other Tensor|number the other side
---@return Tensor # this tensor
function Tensor:sub_(other) end

---@class lota.Tensor.sum.Options
---@field keep? boolean keeps the dimension, with length 1

---The sum, taken in f64 and given in f32 (of f64 in f64); of whole numbers in i64.
---@param dim? integer the dimension to reduce; all if not given
---@param options? lota.Tensor.sum.Options
---@return Tensor # the reduced tensor; without a dimension it holds one number (see item)
function Tensor:sum(dim, options) end

---The singular value decomposition of a matrix: u, s and vt.
---@return Tensor[] # u {rows, k}, s {k} with the largest first, vt {k, columns}
function Tensor:svd() end

---Two dimensions swapped; the last two if none are named.
---@param a? integer one dimension
---@param b? integer the other
---@return Tensor # the transposed tensor
function Tensor:t(a, b) end

---The hyperbolic tangent.
---@return Tensor # a new tensor of the same shape
function Tensor:tanh() end

---The tensor in another type, or on another device.
---@param what string a dtype (f32, bf16, ...) or a device (cpu, cuda:N, metal)
---@return Tensor # the converted tensor
function Tensor:to(what) end

---@class lota.Tensor.topk.Options
---@field largest? boolean false takes the smallest

---The k largest numbers along a dimension, in order, and where they were.
---@param k integer how many; at most the length of the dimension
---@param dim? integer the dimension; the last if not given
---@param options? lota.Tensor.topk.Options
---@return Tensor[] # two tensors: the values, and where each was along the dimension, counted from 0 (u32)
function Tensor:topk(k, dim, options) end

---The numbers as nested tables.
---@return number|table # one level of lists a dimension
function Tensor:totable() end

---With a new dimension of length 1.
---@param dim integer where the new dimension stands
---@return Tensor # one dimension more
function Tensor:unsqueeze(dim) end

---@class lota.Tensor.var.Options
---@field keep? boolean keeps the dimension, with length 1

---The variance over n - 1: PyTorch's var with its default, correction = 1. NaN of fewer than two.
---@param dim? integer the dimension to reduce; all if not given
---@param options? lota.Tensor.var.Options
---@return Tensor # the reduced tensor; without a dimension it holds one number (see item)
function Tensor:var(dim, options) end

---Numbers from one of two, by a condition.
---@param yes Tensor|number taken where this tensor is not 0
---@param no Tensor|number taken where it is 0
---@return Tensor # a new tensor
function Tensor:where(yes, no) end

---A mask with the values of its entries, and where they came from.
---@class Ticket
---@operator len: integer
local Ticket = {}

---@class lota.Ticket.apply.Options
---@field name? string what messages call it; the method if not given
---@field any_base? boolean apply it to another base than its own, too

---Writes the values into a model, and keeps the bits they overwrite.
---@param model Model the model the ticket was made on
---@param options? lota.Ticket.apply.Options
---@return Applied # with which it is taken off again
function Ticket:apply(model, options) end

---@class lota.Ticket.bytes.Options
---@field codec? string how positions are written: plain (roaring sets, for exchange) or compact
---@field values? string how values are written: f32 (if not given), bf16 (nothing is lost if the model is in bf16), int8 or ternary (these two with a scale for each row)

---The bytes its positions and values take in a file, without the header.
---@param options? lota.Ticket.bytes.Options
---@return integer # bytes
function Ticket:bytes(options) end

---An error that says why, unless the ticket belongs to this model.
---@param model Model the model; tickets that are applied to it do not count
function Ticket:check(model) end

---The number of entries it sets.
---@return integer # how many
function Ticket:entries() end

---Where it came from.
---@return table # base, method, seed, data, lota (the version that made it), entries, density, settings
function Ticket:info() end

---The entries it sets.
---@return Mask # the mask
function Ticket:mask() end

---@class lota.Ticket.save.Options
---@field codec? string how positions are written: plain (roaring sets, for exchange) or compact
---@field values? string how values are written: f32 (if not given), bf16 (nothing is lost if the model is in bf16), int8 or ternary (these two with a scale for each row)
---@field to? string write a format of another program: trl (bf16 values), vllm (f32 or bf16), or the folders of peft, shira and supertuning (f32; these two take the base)
---@field base? Model the base model, with no tickets applied: formats of other programs take it; int8 and ternary values are then differences from it, and reading the file takes it too

---Writes the ticket to a safetensors file, or in a format of another program.
---@param path string the file; for peft's adapters the folder
---@param options? lota.Ticket.save.Options
---@return table # bytes of the file, index_bytes, bound_bytes (the fewest for these positions, by their entropy), value_bytes, entries, rounded (values that were changed), max_error, relative_error (Euclidean), per_entry (bytes)
function Ticket:save(path, options) end

---The values it sets in one parameter.
---@param name string the parameter
---@return Tensor # one number for each of its entries, in rising order; empty where it sets none
function Ticket:values(name) end

---How many of its entries differ from the base after both are rounded to a type.
---@param model Model its base, with no tickets applied
---@return table # entries; bf16, f16 and own: how many differ in these types, own in the base's; own_types: the base's types, as bf16, f16 and f32
function Ticket:visible(model) end

---Turns text into token ids and back.
---@class Tokenizer
---@operator len: integer
local Tokenizer = {}

---@class lota.Tokenizer.decode.Options
---@field special? boolean write special tokens out instead of leaving them away

---The text of token ids.
---@param ids integer[] token ids, from 0
---@param options? lota.Tokenizer.decode.Options
---@return string # the text
function Tokenizer:decode(ids, options) end

---@class lota.Tokenizer.encode.Options
---@field special? boolean add what the tokenizer puts around every text

---The token ids of a text.
---@param text string the text
---@param options? lota.Tokenizer.encode.Options
---@return integer[] # token ids, from 0
function Tokenizer:encode(text, options) end

---The id of a token as the vocabulary spells it.
---@param token string the token
---@return integer # the id; nil if there is no such token
function Tokenizer:id(token) end

---Writes tokenizer.json and tokenizer_config.json.
---@param dir string the folder; it is made if it does not exist
function Tokenizer:save(dir) end

---One more than the largest token id.
---@return integer # how many
function Tokenizer:size() end

---The special tokens that have a name.
---@return table # bos, eos, pad and unk, as far as there are any: each {token =, id =}
function Tokenizer:special() end

---Trains some entries of a model, step by step.
---@class Trainer
local Trainer = {}

---Lets go of the optimizer's memory and of the files saved to. The model stays as it is.
function Trainer:close() end

---@class lota.Trainer.fit.Options
---@field steps? integer the number of the last step; that given to train.new if not given
---@field on_step? function function(info) called after each step with what t:step returns; false ends the training. It may not change the model
---@field save_to? string a folder (or a .safetensors file) to save the training to
---@field save_every? integer save every so many steps; 0: only at the end and when cancelled
---@field resume? boolean go on from what is in save_to
---@field progress? boolean show a progress bar; by default where there is no on_step

---Trains until a number of steps is done.
---@param batches Batches the stream to take batches from
---@param options? lota.Trainer.fit.Options
---@return table # losses (of this run's steps), steps (how many), last (the last step's info; nil where all steps were taken before), stopped (by on_step), tokens, seconds
function Trainer:fit(batches, options) end

---The gradients of the loss, and of the penalty, by the trained entries.
---@param batch Batch|Batch[] the batch or batches
---@return Values # the gradients, as short as what is trained
function Trainer:gradients(batch) end

---Where the training stands.
---@return table # step, tokens (seen), entries (trained), selection (a hash of which), optimizer
function Trainer:info() end

---@class lota.Trainer.load.Options
---@field batches? Batches a stream to move to the saved place

---Goes on where a saved training stood: weights, optimizer and step become what they were.
---@param path string the file
---@param options? lota.Trainer.load.Options
---@return integer # the number of steps done
function Trainer:load(path, options) end

---What the optimizer remembers of the trained entries.
---@return table # Values by the name of the state: square_avg (rmsprop), exp_avg and exp_avg_sq (adamw), …
function Trainer:moments() end

---@class lota.Trainer.save.Options
---@field batches? Batches a stream whose place to write too

---Writes the state of the training: trained entries, optimizer and step.
---@param path string the file
---@param options? lota.Trainer.save.Options
function Trainer:save(path, options) end

---@class lota.Trainer.select.Options
---@field mask? Mask train these entries
---@field params? string|string[]|function train these parameters whole (all, if no mask is given): which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean

---Trains other entries from now on.
---@param options? lota.Trainer.select.Options
function Trainer:select(options) end

---@class lota.Trainer.set_lr.Options
---@field params? string|string[]|function of these parameters alone; of all that no group gives a rate, if not given: which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean

---Sets the learning rate, before the schedule.
---@param lr number the rate
---@param options? lota.Trainer.set_lr.Options
function Trainer:set_lr(lr, options) end

---Puts other values in the place of the trained entries; what the optimizer remembers stays.
---@param values Values of exactly the trained entries, as Trainer:values gives them
function Trainer:set_values(values) end

---One optimizer step.
---@param batch Batch|Batch[] the batch or batches
---@return table # step (its number, from 1), loss (before the update, without the penalty), penalty (if there is one), lr, grad_norm (before clipping), tokens, labelled, seconds
function Trainer:step(batch) end

---A step of the optimizer by gradients, clipped and at the rate of the schedule.
---@param gradients Values of exactly the trained entries, as Trainer:gradients gives them
---@return table # what Trainer:step returns; loss is that of the first gradients since the last update, nil if there were none
function Trainer:update(gradients) end

---The values of the trained entries, as the optimizer has them.
---@return Values # the values, as short as what is trained
function Trainer:values() end

---A number for each chosen entry of a model: scores, gradients, weights, Fisher information, moments, task vectors.
---@class Values
---@operator add(Values|number): Values
---@operator len: integer
---@operator div(Values|number): Values
---@operator mul(Values|number): Values
---@operator unm: Values
---@operator pow(Values|number): Values
---@operator sub(Values|number): Values
local Values = {}

---The magnitude of every number.
---@return Values # the new values
function Values:abs() end

---The sum, entry by entry.
---@param other Values|number the other side
---@return Values # the new values
function Values:add(other) end

---Count, sum, norm and extremes of the numbers of each parameter.
---@return table[] # for each parameter with values: name, count, sum, norm, min, max
function Values:by() end

---Every number limited to a range.
---@param low number the least
---@param high number the most
---@return Values # the new values
function Values:clamp(low, high) end

---How many entries have a number.
---@return integer # how many
function Values:count() end

---The values with 0 at all other entries of the parameters that have any.
---@return Values # values of whole parameters
function Values:dense() end

---The quotient, entry by entry.
---@param other Values|number the other side
---@return Values # the new values
function Values:div(other) end

---The sum of the products of the numbers at each entry, in f64.
---@param other Values values of the same entries
---@return number # the sum
function Values:dot(other) end

---Whether both have the same numbers for the same entries of the same model.
---@param other Values the other values
---@return boolean # whether they are equal; where one has NaN, they are not
function Values:equals(other) end

---e to the power of every number.
---@return Values # the new values
function Values:exp() end

---The natural logarithm of every number.
---@return Values # the new values
function Values:log() end

---New values made from those of each parameter.
---@param change function function(name, tensor) -> Tensor of the same shape, or nil to drop it; the tensor is what Values:of gives
---@return Values # the new values
function Values:map(change) end

---The entries that have a number, whatever it is (lota.mask.support: where it is not 0).
---@return Mask # the mask
function Values:mask() end

---The largest number.
---@return number # the figure; where there are no numbers, an error
function Values:max() end

---The larger, entry by entry.
---@param other Values|number the other side
---@return Values # the new values
function Values:maximum(other) end

---The mean of all numbers.
---@return number # the figure; where there are no numbers, an error
function Values:mean() end

---The smallest number.
---@return number # the figure; where there are no numbers, an error
function Values:min() end

---The smaller, entry by entry.
---@param other Values|number the other side
---@return Values # the new values
function Values:minimum(other) end

---The product, entry by entry.
---@param other Values|number the other side
---@return Values # the new values
function Values:mul(other) end

---The names of the parameters that have values.
---@return string[] # in the model's order
function Values:names() end

---The negative of every number.
---@return Values # the new values
function Values:neg() end

---How many numbers are not 0.
---@return integer # how many
function Values:nonzero() end

---The Euclidean norm of all numbers together.
---@return number # the figure; where there are no numbers, an error
function Values:norm() end

---The values of one parameter.
---@param name string the parameter
---@return Tensor # in its shape; of values over a mask [n], one for each entry in rising order; nil if it has none
function Values:of(name) end

---The first to the power of the second, entry by entry.
---@param other Values|number the other side
---@return Values # the new values
function Values:pow(other) end

---The number below which a fraction of the numbers lies.
---@param q number the fraction, from 0 to 1
---@return number # the quantile
function Values:quantile(q) end

---Writes the values to a file, in f32.
---@param path string the file
---@return integer # its size in bytes
function Values:save(path) end

---Puts other numbers in the place of those of one parameter.
---@param name string the parameter, which has values
---@param values Tensor the new ones, in the shape that Values:of gives
---@return Values # these values
function Values:set(name, values) end

----1, 0 or 1 for every number.
---@return Values # the new values
function Values:sign() end

---The square root of every number.
---@return Values # the new values
function Values:sqrt() end

---The square of every number.
---@return Values # the new values
function Values:square() end

---The difference, entry by entry.
---@param other Values|number the other side
---@return Values # the new values
function Values:sub(other) end

---The sum of all numbers, in f64.
---@return number # the figure; where there are no numbers, an error
function Values:sum() end

---The values of the entries in a mask, and no others: as short as what is left.
---@param mask Mask the entries to keep
---@return Values # the values
function Values:within(mask) end

---@class lota
local lota = {}

---Data files, training examples and batches.
lota.data = {}

---Measuring models.
lota.eval = {}

---JSON text.
lota.json = {}

---LoRA adapters, as peft stores them: read, applied, extracted from task vectors, attached to a model to be trained, written.
lota.lora = {}

---Masks: sets of entries. Entries in the mask are trained; all others are frozen.
lota.mask = {}

---Merging: one model of several, of tickets and task vectors too.
lota.merge = {}

---Models: loading, making, running and writing them.
lota.model = {}

---Charts as SVG.
lota.plot = {}

---Run folders: the config, metrics and files of one run.
lota.run = {}

---Statistics of what flows through the linear layers of a model: norms, Gram matrices, Fisher information.
lota.stats = {}

---Tickets: sparse task vectors that are stored, applied and taken off.
lota.ticket = {}

---Tokenizers.
lota.tokenizer = {}

---Training: optimizers, schedules, losses, and scores from gradients.
lota.train = {}

---Values: a number for each chosen entry of a model, of which scores are one kind.
lota.values = {}

---@class lota.arange.Options
---@field step? number the distance between two
---@field dtype? string type of the numbers: f32, f64, bf16, f16, u8, u32, i16, i32 or i64
---@field device? string where it lies: cpu, cuda:N or metal; this run's device if not given

---The numbers from start to stop, both included, as Lua's `for` counts.
---@param start number the first
---@param stop number the last, if a step falls on it
---@param options? lota.arange.Options
---@return Tensor # one dimension
function lota.arange(start, stop, options) end

---Declares the options of this script and reads them from the command line.
---@param options table the options by name
---@return table # the values by name
function lota.args(options) end

---Tensors joined along a dimension they have.
---@param tensors Tensor[] what to join
---@param dim? integer the dimension; the first if not given
---@return Tensor # the joined tensor
function lota.cat(tensors, dim) end

---A batch of token sequences, to be read or scored.
---@param sequences table lists of token ids, or maps {tokens =, labels =} (not shifted, -100 for none)
---@return Batch # the batch; without labels, every token but the first is to be predicted
function lota.data.batch(sequences) end

---@class lota.data.batches.Options
---@field size? integer examples in a batch
---@field order? string shuffle (anew every epoch) or sequential
---@field seed? integer the seed of the shuffle
---@field bucket? boolean put examples of similar length together
---@field packed? boolean fill every batch up to max_tokens, however many examples that takes
---@field max_tokens? integer the most tokens of a batch

---A stream of batches over examples.
---@param examples Examples the examples
---@param options? lota.data.batches.Options
---@return Batches # the stream
function lota.data.batches(examples, options) end

---@class lota.data.examples.Options
---@field max_len? integer the most tokens of an example
---@field max_prompt? integer tokens kept of the prompt where an example exceeds max_len; if not given, 256, or half of max_len where that is less
---@field keep? string which end of such a prompt is kept: start or end
---@field bos? boolean put the token that begins a text before the prompt
---@field eos? boolean put the token that ends a text after the target, and learn it

---Rows of text as training examples.
---@param model Model|Tokenizer whose tokenizer to use
---@param rows table[] the rows
---@param options? lota.data.examples.Options
---@return Examples # the examples
function lota.data.examples(model, rows, options) end

---The texts of a safetensors file that belong to no tensor.
---@param path string the file
---@return table # a text by each key
function lota.data.metadata(path) end

---The examples of a file of padded batches, as other trainers write them.
---@param path string the file
---@return Examples # the examples, batch by batch
function lota.data.padded(path) end

---@class lota.data.read.Options
---@field format? string jsonl, json, csv, tsv or parquet; auto goes by the file's ending
---@field limit? integer the most rows to read

---The rows of a data file: JSON lines, JSON (an array of rows too), CSV, TSV or Parquet.
---@param path string the file
---@param options? lota.data.read.Options
---@return table[] # the rows, field name to value
function lota.data.read(path, options) end

---@class lota.data.tensors.Options
---@field names? string|string[] only tensors whose names match a pattern: * is any run of characters, {a,b} one of several

---The tensors of a safetensors file by their names.
---@param path string the file
---@param options? lota.data.tensors.Options
---@return table # a tensor by each name
function lota.data.tensors(path, options) end

---@class lota.eval.choice.Options
---@field normalize? string divide the log-probability of a choice by its tokens (token), or not (none)
---@field bos? boolean put the token that begins a text before each prompt

---Multiple choice: the likeliest of several continuations of a prompt.
---@param model Model the model
---@param questions table[] each {prompt =, choices = {...}, answer = the position of the right choice}
---@param options? lota.eval.choice.Options
---@return table # accuracy (nil if no question has an answer), predictions (positions), scores (log-probabilities)
function lota.eval.choice(model, questions, options) end

---@class lota.eval.generate.Options
---@field max_tokens? integer the most new tokens
---@field temperature? number divides the logits; 0 takes the likeliest token
---@field top_k? integer consider only so many of the likeliest tokens
---@field top_p? number consider only the fewest tokens that are this probable together
---@field min_p? number consider only tokens this probable, relative to the likeliest
---@field repetition_penalty? number above 1, makes tokens that occurred less likely
---@field stop? string|string[] texts that end it; what is returned ends before them
---@field seed? integer where randomness begins
---@field batch? integer how many prompts are run together
---@field special? boolean write special tokens out instead of leaving them away
---@field bos? boolean put the token that begins a text before each prompt
---@field max_prompt? integer keep only so many tokens of the end of a prompt

---Continues the prompt of every row, several at a time.
---@param model Model the model
---@param rows table the rows, each {prompt = ...}, {messages = ...} or a string
---@param options? lota.eval.generate.Options
---@return string[] # the continuations, in order
function lota.eval.generate(model, rows, options) end

---@class lota.eval.perplexity.Options
---@field limit? integer use only so many batches

---The mean loss of all labelled tokens.
---@param model Model the model
---@param data Examples|Batches|Batch|Batch[] the data; of a stream, its current epoch
---@param options? lota.eval.perplexity.Options
---@return table # loss (nats a token), perplexity, tokens (with a label), sequences
function lota.eval.perplexity(model, data, options) end

---@class lota.eye.Options
---@field dtype? string type of the numbers: f32, f64, bf16, f16, u8, u32, i16, i32 or i64
---@field device? string where it lies: cpu, cuda:N or metal; this run's device if not given

---A square matrix with ones on its diagonal.
---@param n integer rows
---@param options? lota.eye.Options
---@return Tensor # n by n
function lota.eye(n, options) end

---A hash of what a value says, to tell whether it is the same as before.
---@param value any a boolean, number, string, function, list or map, or one of the types named above
---@return string # hexadecimal
function lota.fingerprint(value) end

---@class lota.full.Options
---@field dtype? string type of the numbers: f32, f64, bf16, f16, u8, u32, i16, i32 or i64
---@field device? string where it lies: cpu, cuda:N or metal; this run's device if not given

---A tensor of one number.
---@param shape integer|integer[] the shape
---@param value number the number
---@param options? lota.full.Options
---@return Tensor # the tensor
function lota.full(shape, value, options) end

---The gradients of a number with respect to variables.
---@param loss Tensor one number, computed from the variables
---@param vars Tensor[] tensors made by requires_grad()
---@return Tensor[] # one gradient a variable, in its shape; zeros where the loss does not depend on it
function lota.grad(loss, vars) end

---Prints the page of a primitive, an area, a type or a module.
---@param value? any a name such as 'mask.union', or a value; without one the areas are listed
function lota.help(value) end

---The value of a JSON text.
---@param text string the JSON text
---@return any # the value
function lota.json.decode(text) end

---@class lota.json.encode.Options
---@field indent? boolean break lines and indent

---The JSON text of a value.
---@param value any a boolean, number, string, list or map of these
---@param options? lota.json.encode.Options
---@return string # the text
function lota.json.encode(value, options) end

---@class lota.lora.attach.Options
---@field adapter? Lora begin with these factors, their ranks and scales, instead of new ones
---@field rank? integer the rank of each pair of factors
---@field alpha? number the numerator of the scale; the rank if not given
---@field rslora? boolean divide alpha by sqrt(rank) instead of the rank
---@field targets? string|string[] which modules: "all-linear" (of all blocks), names (q_proj, lm_head, embed_tokens), or patterns of them
---@field dropout? number the chance that an entry of A's input is dropped in a training step
---@field init? string how A begins: kaiming (uniform within 1 / sqrt(in)) or gaussian (deviation 1 / rank)
---@field seed? integer what A and dropout are drawn from

---A model with factors of low rank beside some of its weights, to be trained.
---@param model Model the model; it stays as it is
---@param options? lota.lora.attach.Options
---@return Model # the model with factors
function lota.lora.attach(model, options) end

---@class lota.lora.extract.Options
---@field rank? integer the rank of the adapter
---@field params? string|string[]|function which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean
---@field oversample? integer how many random vectors more than the rank the search starts from
---@field power? integer how many power iterations make the search exact
---@field seed? integer the seed of the random vectors
---@field base? Model the model that a ticket belongs to, with no tickets applied

---The adapter of this rank that is nearest to a task vector.
---@param delta Values|Ticket the task vector, or a ticket (then with its base)
---@param options? lota.lora.extract.Options
---@return Lora # the adapter
function lota.lora.extract(delta, options) end

---@class lota.lora.from.Options
---@field rank? integer the rank of the adapter
---@field params? string|string[]|function which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean
---@field oversample? integer how many random vectors more than the rank the search starts from
---@field power? integer how many power iterations make the search exact
---@field seed? integer the seed of the random vectors
---@field offline? boolean of a hub id: use only what the cache has

---The adapter nearest to what a fine-tuned model changed in its base.
---@param base string the folder or hub id of the model before
---@param tuned string the folder or hub id of the model after
---@param options? lota.lora.from.Options
---@return Lora # the adapter
function lota.lora.from(base, tuned, options) end

---Reads an adapter's folder.
---@param path string the folder
---@return Lora # the adapter
function lota.lora.load(path) end

---A model without factors that computes what a model with them does.
---@param model Model a model that lora.attach made
---@return Model # the merged model
function lota.lora.merge(model) end

---The factors of a model as an adapter of its base, copied.
---@param model Model a model that lora.attach made
---@return Lora # the adapter; its `save` writes a folder that peft reads
function lota.lora.of(model) end

---@class lota.lora.sum.Options
---@field weights? number[] what each is multiplied with; 1 if not given

---The sum of adapters as one adapter of the ranks together, exactly.
---@param adapters Lora[] the adapters
---@param options? lota.lora.sum.Options
---@return Lora # the sum
function lota.lora.sum(adapters, options) end

---A Markdown table, padded so that it also reads well as text.
---@param header string[] the names of the columns
---@param rows table the rows, each a list of texts, numbers or booleans
---@return string # the table
function lota.markdown(header, rows) end

---@class lota.mask.all.Options
---@field params? string|string[]|function which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean
---@field within? Mask only entries of this mask are taken
---@field avoid? Mask entries of this mask are not taken

---Every entry of some parameters.
---@param model Model the model (or a mask, scores or ticket of it)
---@param options? lota.mask.all.Options
---@return Mask # the mask
function lota.mask.all(model, options) end

---@class lota.mask.blocks.Options
---@field blocks integer[][] each {first row, last row, first column, last column}, the last ones included; -1 is the end
---@field params? string|string[]|function which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean
---@field within? Mask only entries of this mask are taken
---@field avoid? Mask entries of this mask are not taken

---Rectangles of some matrices.
---@param model Model the model (or a mask, scores or ticket of it)
---@param options lota.mask.blocks.Options
---@return Mask # the mask
function lota.mask.blocks(model, options) end

---@class lota.mask.capacity.Options
---@field within? Mask what can be claimed; the attention and MLP matrices if not given

---How much a sequence of masks has claimed, and how much is free.
---@param masks Mask[] the masks in order
---@param options? lota.mask.capacity.Options
---@return table # free (fraction), claimed and entries (counts), newly (what each mask was the first to claim), roles and layers (rows as Mask:counts gives)
function lota.mask.capacity(masks, options) end

---@class lota.mask.cols.Options
---@field cols integer[] which columns; they must exist in every one of the matrices
---@field params? string|string[]|function which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean
---@field within? Mask only entries of this mask are taken
---@field avoid? Mask entries of this mask are not taken

---Whole columns of some matrices.
---@param model Model the model (or a mask, scores or ticket of it)
---@param options lota.mask.cols.Options
---@return Mask # the mask
function lota.mask.cols(model, options) end

---@class lota.mask.complement.Options
---@field within? Mask only entries of this mask; the whole model if not given

---The entries that are not in the mask.
---@param a Mask the mask
---@param options? lota.mask.complement.Options
---@return Mask # the new mask
function lota.mask.complement(a, options) end

---The entries of the first mask that are in none of the others.
---@param a Mask the first mask
---@param ... Mask the masks to take away
---@return Mask # the new mask
function lota.mask.difference(a, ...) end

---@class lota.mask.from_positions.Options
---@field within? Mask only entries of this mask are taken
---@field avoid? Mask entries of this mask are not taken

---The entries at flat positions in parameters.
---@param model Model the model (or a mask, scores or ticket of it)
---@param positions table a list of positions, or a tensor of them, for each parameter by its name
---@param options? lota.mask.from_positions.Options
---@return Mask # the mask
function lota.mask.from_positions(model, positions, options) end

---@class lota.mask.from_scores.Options
---@field density? number|number[]|table|function how much of the population to take, from 0 to 1, rounded to whole entries (in each group, if the scope is not global); one above 0 that takes none at all is an error. Or one for each parameter: a list with a number for each layer, a map from layers (counted from 0, as in names) and patterns of names to numbers, or a function(parameter) -> number
---@field count? integer|integer[]|table|function how many entries to take (of each group, if the scope is not global); or one for each parameter, as with density
---@field scope? string where the budget holds: global (if not given), parameter, layer or row; with a number for each parameter it is parameter if not given, and the parameters of a layer must agree if it is layer
---@field within? Mask only entries of this mask may be taken, and a density is of them
---@field avoid? Mask entries of this mask may not be taken; a density still counts them
---@field largest? boolean false takes the smallest

---The entries with the largest scores by magnitude: exactly as many as asked for.
---@param scores Values the scores
---@param options? lota.mask.from_scores.Options
---@return Mask # the mask
function lota.mask.from_scores(scores, options) end

---@class lota.mask.from_tensors.Options
---@field within? Mask only entries of this mask are taken
---@field avoid? Mask entries of this mask are not taken

---The entries that are not zero in tensors of the parameters' shapes.
---@param model Model the model (or a mask, scores or ticket of it)
---@param tensors table|function a tensor for each parameter by its name, or a function(parameter) -> Tensor or nil; of any type
---@param options? lota.mask.from_tensors.Options
---@return Mask # the mask
function lota.mask.from_tensors(model, tensors, options) end

---@class lota.mask.heads.Options
---@field heads integer[] which query heads
---@field layers? integer[] which layers, from 0 as in names; all if not given
---@field key_value? boolean with the key and value heads
---@field within? Mask only entries of this mask are taken
---@field avoid? Mask entries of this mask are not taken

---Everything that belongs to some attention heads.
---@param model Model the model
---@param options lota.mask.heads.Options
---@return Mask # the mask
function lota.mask.heads(model, options) end

---The entries that are in all of the masks.
---@param a Mask the first mask
---@param ... Mask the other masks
---@return Mask # the new mask
function lota.mask.intersect(a, ...) end

---@class lota.mask.load.Options
---@field model? Model|Mask|Values|Ticket refuse a mask of another model than this

---Reads a mask file.
---@param path string the file
---@param options? lota.mask.load.Options
---@return Mask # the mask
function lota.mask.load(path, options) end

---@class lota.mask.match.Options
---@field within? Mask only entries of this mask are taken
---@field avoid? Mask entries of this mask are not taken

---Every entry of the parameters whose names match a pattern.
---@param model Model the model (or a mask, scores or ticket of it)
---@param patterns string|string[] patterns: * is any run of characters, {a,b} one of several
---@param options? lota.mask.match.Options
---@return Mask # the mask
function lota.mask.match(model, patterns, options) end

---@class lota.mask.nm.Options
---@field n? integer how many to keep
---@field m? integer of how many neighbours
---@field within? Mask only entries of this mask are taken
---@field avoid? Mask entries of this mask are not taken

---In every m neighbours of a row, the n with the largest scores by magnitude.
---@param scores Values the scores; parameters without scores stay out
---@param options? lota.mask.nm.Options
---@return Mask # the mask
function lota.mask.nm(scores, options) end

---A mask without entries.
---@param model Model the model (or a mask, scores or ticket of it)
---@return Mask # the mask
function lota.mask.none(model) end

---@class lota.mask.published.Options
---@field inverted? boolean a one in the file means frozen, as in the published code

---Reads a mask that torch.save wrote, as the code published with LoTA does.
---@param model Model the model (or a mask, scores or ticket of it)
---@param path string the .pt file
---@param options? lota.mask.published.Options
---@return Mask # the mask: what is in it is trained
function lota.mask.published(model, path, options) end

---@class lota.mask.random.Options
---@field params? string|string[]|function which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean
---@field seed? integer the seed; 0 if neither seed nor rng is given
---@field rng? Rng a generator to draw from instead
---@field density? number|number[]|table|function how much of the population to take, from 0 to 1, rounded to whole entries (in each group, if the scope is not global); one above 0 that takes none at all is an error. Or one for each parameter: a list with a number for each layer, a map from layers (counted from 0, as in names) and patterns of names to numbers, or a function(parameter) -> number
---@field count? integer|integer[]|table|function how many entries to take (of each group, if the scope is not global); or one for each parameter, as with density
---@field scope? string where the budget holds: global (if not given), parameter, layer or row; with a number for each parameter it is parameter if not given, and the parameters of a layer must agree if it is layer
---@field within? Mask only entries of this mask may be taken, and a density is of them
---@field avoid? Mask entries of this mask may not be taken; a density still counts them

---Entries drawn blindly: exactly as many as asked for, every choice equally likely.
---@param model Model the model (or a mask, scores or ticket of it)
---@param options? lota.mask.random.Options
---@return Mask # the mask
function lota.mask.random(model, options) end

---@class lota.mask.rows.Options
---@field rows integer[] which rows; they must exist in every one of the matrices
---@field params? string|string[]|function which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean
---@field within? Mask only entries of this mask are taken
---@field avoid? Mask entries of this mask are not taken

---Whole rows of some matrices.
---@param model Model the model (or a mask, scores or ticket of it)
---@param options lota.mask.rows.Options
---@return Mask # the mask
function lota.mask.rows(model, options) end

---@class lota.mask.support.Options
---@field within? Mask only entries of this mask are taken
---@field avoid? Mask entries of this mask are not taken

---Where something is not zero: of scores or a task vector, or the mask of a ticket.
---@param of Values|Ticket the scores or the ticket
---@param options? lota.mask.support.Options
---@return Mask # the mask
function lota.mask.support(of, options) end

---The entries that are in an odd number of the masks: of two, in exactly one.
---@param a Mask the first mask
---@param ... Mask the other masks
---@return Mask # the new mask
function lota.mask.symmetric_difference(a, ...) end

---@class lota.mask.threshold.Options
---@field above? number the threshold
---@field within? Mask only entries of this mask are taken
---@field avoid? Mask entries of this mask are not taken

---The entries whose score is greater than a threshold in magnitude.
---@param scores Values the scores
---@param options? lota.mask.threshold.Options
---@return Mask # the mask
function lota.mask.threshold(scores, options) end

---The entries that are in any of the masks.
---@param a Mask the first mask
---@param ... Mask the other masks
---@return Mask # the new mask
function lota.mask.union(a, ...) end

---@class lota.mask.units.Options
---@field unit string|integer[] row, column, or {height, width} of a block
---@field density? number|number[]|table|function how much of the population to take, from 0 to 1, rounded to whole entries (in each group, if the scope is not global); one above 0 that takes none at all is an error. Or one for each parameter: a list with a number for each layer, a map from layers (counted from 0, as in names) and patterns of names to numbers, or a function(parameter) -> number
---@field count? integer|integer[]|table|function how many entries to take (of each group, if the scope is not global); or one for each parameter, as with density
---@field scope? string where the budget holds: global (if not given), parameter, layer or row; with a number for each parameter it is parameter if not given, and the parameters of a layer must agree if it is layer
---@field within? Mask only entries of this mask may be taken, and a density is of them
---@field avoid? Mask entries of this mask may not be taken; a density still counts them
---@field largest? boolean false takes the smallest

---The whole rows, columns or blocks with the largest scores on average.
---@param scores Values the scores; parameters without scores stay out
---@param options lota.mask.units.Options
---@return Mask # the mask
function lota.mask.units(scores, options) end

---The tensor memory that script values keep alive.
---@return table # live and peak in bytes, and how often the collector ran because of them
function lota.memory() end

---@class lota.merge.check.Options
---@field methods? table methods of the script by name: see merge.models
---@field allow_crimes? boolean try models of different architectures
---@field unsafe_truncate_embeddings? boolean cut vocabularies of different size to the shortest, as if tokens had the same ids

---Whether a configuration can be carried out: an error that says what is in the way, before any work.
---@param config string|table a file, or the configuration
---@param options? lota.merge.check.Options
---@return table[] # for each step: method, tensors, entries, models, notices
function lota.merge.check(config, options) end

---@class lota.merge.config.Options
---@field methods? table methods of the script by name: see merge.models
---@field allow_crimes? boolean try models of different architectures
---@field unsafe_truncate_embeddings? boolean cut vocabularies of different size to the shortest, as if tokens had the same ids
---@field seed? integer the seed of methods that draw
---@field shard? string|integer the most bytes of tensors in one file, as a number or 500MB, 2GB, ...
---@field replace? boolean replace a folder that is there already; an error if it holds files that belong to no model
---@field between? string the folder for the results of named documents, which are kept; beside `out` if not given
---@field report? string write a report of the task vectors as FILE.md and FILE.svg; needs a base_model
---@field scores? function function(model, name): a map of task to score, called with the base, each model and the result, for the report

---Merges as a configuration of mergekit says, into a folder.
---@param config string|table a file, or the configuration
---@param out string the folder to write
---@param options? lota.merge.config.Options
---@return string[] # the files
function lota.merge.config(config, out, options) end

---@class lota.merge.conflicts.Options
---@field base Model|Snapshot|string what they were made from
---@field merged? Model|Snapshot|string a model that was made of them, to show how far it went from the base

---What task vectors change, where they meet and where they pull apart, layer by layer.
---@param models any[] what is compared
---@param options lota.merge.conflicts.Options
---@return table[] # for each layer (`outside` for what lies outside of layers), and `all`: group, entries, changed and norms (one for each model), any, shared (entries that several change), conflicts (of those, pulled to both sides), both, opposed and cosines (one for each pair: 1-2, 1-3, 2-3, ...), base_norm, merged_norm
function lota.merge.conflicts(models, options) end

---The built-in methods.
---@return table[] # name, doc, source, base (required, optional or ignored), random, parameters of each
function lota.merge.methods() end

---@class lota.merge.models.Options
---@field method string|function ties, linear, ..., or a function
---@field base? Model|Snapshot|string what tickets and task vectors lie over
---@field seed? integer the seed of methods that draw
---@field any_base? boolean tickets of another base than this, too
---@field [string] any

---Merges models, tickets and task vectors, in any mixture, into a model.
---@param models any[] what is merged
---@param options lota.merge.models.Options
---@return Model # the merged model: the tokenizer and all else is the base's, or the first model's
function lota.merge.models(models, options) end

---@class lota.merge.report.Options
---@field base Model|Snapshot|string what they were made from
---@field merged? Model|Snapshot|string a model that was made of them, to show how far it went from the base
---@field names? string[] what the models are called; their numbers if not given
---@field title? string the heading of the chart
---@field path? string a file to write the chart to, as SVG

---The same as a Markdown table, and as a chart.
---@param models any[] what is compared
---@param options lota.merge.report.Options
---@return string # the table
function lota.merge.report(models, options) end

---@class lota.merge.tickets.Options
---@field base Model the model they were made on
---@field method? string|function disjoint, overlap_ties, magmax, or any other
---@field seed? integer the seed of methods that draw
---@field any_base? boolean tickets of another base than this, too
---@field [string] any

---Merges tickets of one base into one.
---@param tickets any[] tickets of the same base
---@param options lota.merge.tickets.Options
---@return Ticket # the merged ticket
function lota.merge.tickets(tickets, options) end

---@class lota.model.builtin.Options
---@field dtype? string how matrices are held: f32 or bf16
---@field compute? string what products multiply as: f32 or bf16 (faster); that of this run if not given
---@field device? string cpu, cuda:N or metal; that of this run if not given
---@field chat_template? string a Jinja chat template to use instead of the model's own

---The small model that is built into lota.
---@param options? lota.model.builtin.Options
---@return Model # the model
function lota.model.builtin(options) end

---@class lota.model.init.Options
---@field seed? integer the seed of the weights
---@field tokenizer? Tokenizer|string the tokenizer, or the path of one
---@field dtype? string how matrices are held: f32 or bf16
---@field compute? string what products multiply as: f32 or bf16 (faster); that of this run if not given
---@field device? string cpu, cuda:N or metal; that of this run if not given
---@field chat_template? string a Jinja chat template to use instead of the model's own

---A model with random weights, to be trained from scratch.
---@param config table|string the configuration, or 'tiny'
---@param options? lota.model.init.Options
---@return Model # the model
function lota.model.init(config, options) end

---@class lota.model.load.Options
---@field tokenizer? string a tokenizer.json to use instead of the model's own
---@field revision? string of a hub id: a branch, tag or commit instead of main
---@field offline? boolean of a hub id: use only what the cache has
---@field dtype? string how matrices are held: f32 or bf16
---@field compute? string what products multiply as: f32 or bf16 (faster); that of this run if not given
---@field device? string cpu, cuda:N or metal; that of this run if not given
---@field chat_template? string a Jinja chat template to use instead of the model's own

---Loads a model.
---@param source string a folder, a .gguf file, or a hub id
---@param options? lota.model.load.Options
---@return Model # the model
function lota.model.load(source, options) end

---Which of some names was meant by one that is none of them.
---@param name string the name
---@param names string[] the names that there are
---@return string # the nearest; nil if none is near
function lota.nearest(name, names) end

---@class lota.ones.Options
---@field dtype? string type of the numbers: f32, f64, bf16, f16, u8, u32, i16, i32 or i64
---@field device? string where it lies: cpu, cuda:N or metal; this run's device if not given

---A tensor of ones.
---@param shape integer|integer[] the shape
---@param options? lota.ones.Options
---@return Tensor # the tensor
function lota.ones(shape, options) end

---@class lota.plot.heatmap.Options
---@field labels? string[] the names of both rows and columns
---@field rows? string[] the names of the rows
---@field columns? string[] the names of the columns
---@field title? string the heading
---@field low? number the value of the first colour; the least by default
---@field high? number the value of the last colour; the greatest by default
---@field path? string a file to write the SVG to

---A heat map: a matrix as coloured cells with their values.
---@param matrix number[][] the rows; a value that is not a number is an empty cell
---@param options? lota.plot.heatmap.Options
---@return string # the SVG text
function lota.plot.heatmap(matrix, options) end

---@class lota.plot.lines.Options
---@field title? string the heading
---@field x? string what x counts
---@field y? string what y measures
---@field log_x? boolean a logarithmic x axis
---@field log_y? boolean a logarithmic y axis
---@field log? boolean the same as log_y
---@field markers? boolean show the points of every series that does not say otherwise
---@field columns? integer draw in characters, over so many columns, instead of as SVG
---@field marks? table[] vertical lines, each {x =, name =}
---@field groups? string[] groups in the order of their colours, for several charts that show the same ones
---@field path? string a file to write the chart to

---A line chart.
---@param series table[]|table the lines
---@param options? lota.plot.lines.Options
---@return string # the SVG text, or the chart in characters
function lota.plot.lines(series, options) end

---Prints values, tables written out.
---@param ... any what to print
function lota.print(...) end

---Starts a progress bar, with the time left where output is a terminal.
---@param name string a short name
---@param total integer how many steps there are
---@return Bar # the bar
function lota.progress(name, total) end

---@class lota.rand.Options
---@field rng Rng the generator they are drawn from
---@field dtype? string type of the numbers: f32, f64, bf16, f16, u8, u32, i16, i32 or i64
---@field device? string where it lies: cpu, cuda:N or metal; this run's device if not given

---Random numbers, uniform in [0, 1).
---@param shape integer|integer[] the shape
---@param options lota.rand.Options
---@return Tensor # the numbers
function lota.rand(shape, options) end

---@class lota.randn.Options
---@field rng Rng the generator they are drawn from
---@field dtype? string type of the numbers: f32, f64, bf16, f16, u8, u32, i16, i32 or i64
---@field device? string where it lies: cpu, cuda:N or metal; this run's device if not given

---Random numbers with mean 0 and deviation 1.
---@param shape integer|integer[] the shape
---@param options lota.randn.Options
---@return Tensor # the numbers
function lota.randn(shape, options) end

---A random generator.
---@param seed integer the seed
---@return Rng # the generator
function lota.rng(seed) end

---@class lota.run.start.Options
---@field config? table what this run was asked to do, written to config.json
---@field resume? boolean continue the run that is in the folder, if there is one
---@field numbered? boolean take the first free one of DIR-1, DIR-2, … instead, and no other program takes it too

---Starts a run in a folder.
---@param dir string the folder; it is made if it does not exist
---@param options? lota.run.start.Options
---@return Run # the run
function lota.run.start(dir, options) end

---An error unless files can be written into a folder.
---@param dir string the folder; it is made if it does not exist
function lota.run.writable(dir) end

---The script that runs: its file, its options, and the command that runs it again.
---@return table # path (as it was given; empty where no file is run), args (a list of texts), command (quoted for a shell)
function lota.script() end

---Tensors of one shape stacked along a new dimension.
---@param tensors Tensor[] what to join
---@param dim? integer the dimension; the first if not given
---@return Tensor # the joined tensor
function lota.stack(tensors, dim) end

---@class lota.stats.collect.Options
---@field input_norm? boolean the Euclidean norm of each input feature over all tokens, [in]; sums of squares in f64
---@field output_norm? boolean the same of each output feature, [out]
---@field output_magnitude? boolean the mean over all tokens of the magnitude of each output feature, [out]; summed in f64
---@field gram? boolean the Gram matrix of the inputs, x:t():matmul(x) over all tokens, [in, in]; sums of a batch in f32, of batches in f64. It takes 12 bytes an entry while it is gathered
---@field fisher? boolean the diagonal of the empirical Fisher information, in each parameter's shape
---@field each? function function(name, x, y), called for each layer and batch with the name of the weight, the layer's input {tokens, in} and its output {tokens, out}; both are constants. What it returns is not looked at
---@field modules? string|string[]|function the layers, by patterns of the names of their weights, or a function(parameter) -> boolean; if not given, all linear layers of the blocks. The output head is one where it is not the embedding
---@field params? string|string[]|function of fisher alone; which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean
---@field limit? integer use only so many batches
---@field checkpoint? string of fisher alone; none, or block: compute activations again, for less memory and more time

---Statistics of what flows through the linear layers of a model, in one pass over batches.
---@param model Model the model; it is not changed
---@param batches Batches|Examples|Batch|Batch[] the data; of a stream, its current epoch
---@param options? lota.stats.collect.Options
---@return Stats # the statistics; without any kind, and with `each` alone, the counts
function lota.stats.collect(model, batches, options) end

---@class lota.stats.load.Options
---@field model? Model refuse statistics of another model than this, or of other weights
---@field any_weights? boolean take those of other weights of a model with the same parameters, too

---Reads a file of statistics that Stats:save wrote.
---@param path string the file
---@param options? lota.stats.load.Options
---@return Stats # the statistics
function lota.stats.load(path, options) end

---@class lota.task_vector.Options
---@field params? string|string[]|function which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean

---The difference of two states of a model: after - before, in f32.
---@param after Model|Snapshot the state after
---@param before Model|Snapshot the state before
---@param options? lota.task_vector.Options
---@return Values # the task vector; the other parameters are not scored
function lota.task_vector(after, before, options) end

---@class lota.tensor.Options
---@field dtype? string type of the numbers: f32, f64, bf16, f16, u8, u32, i16, i32 or i64
---@field device? string where it lies: cpu, cuda:N or metal; this run's device if not given

---A tensor of given numbers.
---@param data number|table|Tensor a number, a list, lists of lists, or a tensor to copy
---@param options? lota.tensor.Options
---@return Tensor # the tensor
function lota.tensor(data, options) end

---@class lota.ticket.convert.Options
---@field codec? string how positions are written: plain (roaring sets, for exchange) or compact
---@field values? string how values are written: f32 (if not given), bf16 (nothing is lost if the model is in bf16), int8 or ternary (these two with a scale for each row)
---@field from? string the format of another program that it is in: trl, shira or supertuning; told by the file if not given
---@field to? string write a format of another program: trl (bf16 values), vllm (f32 or bf16), or the folders of peft, shira and supertuning (f32; these two take the base)
---@field base? Model the base model, with no tickets applied: formats of other programs take it; int8 and ternary values are then differences from it, and reading the file takes it too

---Writes a ticket file in another form, or from and to formats of other programs.
---@param path string the file; of peft's adapters the folder
---@param out string the file (for peft the folder) to write
---@param options? lota.ticket.convert.Options
---@return table # bytes of the file, index_bytes, bound_bytes (the fewest for these positions, by their entropy), value_bytes, entries, rounded (values that were changed), max_error, relative_error (Euclidean), per_entry (bytes)
function lota.ticket.convert(path, out, options) end

---@class lota.ticket.from.Options
---@field density? number|number[]|table|function how much of the population to take, from 0 to 1, rounded to whole entries (in each group, if the scope is not global); one above 0 that takes none at all is an error. Or one for each parameter: a list with a number for each layer, a map from layers (counted from 0, as in names) and patterns of names to numbers, or a function(parameter) -> number
---@field count? integer|integer[]|table|function how many entries to take (of each group, if the scope is not global); or one for each parameter, as with density
---@field scope? string where the budget holds: global (if not given), parameter, layer or row; with a number for each parameter it is parameter if not given, and the parameters of a layer must agree if it is layer
---@field params? string|string[]|function which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean
---@field shared_rows? boolean where vocabularies differ in size, compare the rows of embedding and head that both have
---@field offline? boolean of a hub id: use only what the cache has

---The entries that moved most between a model and its fine-tuned version.
---@param base string the folder or hub id of the model before
---@param tuned string the folder or hub id of the model after
---@param options? lota.ticket.from.Options
---@return Ticket # the ticket
function lota.ticket.from(base, tuned, options) end

---@class lota.ticket.from_values.Options
---@field base string the fingerprint of the model before: what the ticket can be applied to
---@field method? string the method that made it
---@field seed? integer the seed of the run
---@field data? string a fingerprint of the data
---@field [string] any

---A ticket that sets these values: what the weights become, not differences.
---@param values Values the weights at the entries
---@param options lota.ticket.from_values.Options
---@return Ticket # the ticket
function lota.ticket.from_values(values, options) end

---@class lota.ticket.load.Options
---@field model? Model|Mask|Values|Ticket refuse a ticket of another model than this; the base itself where the file holds differences from it or is of another program
---@field from? string the format of another program that it is in: trl, shira or supertuning; told by the file if not given

---Reads a ticket file, or a sparse change of another program (TRL, peft).
---@param path string the file; of peft's adapters the folder
---@param options? lota.ticket.load.Options
---@return Ticket # the ticket
function lota.ticket.load(path, options) end

---@class lota.ticket.new.Options
---@field base string the fingerprint of the model before: what the ticket can be applied to
---@field method? string the method that made it
---@field seed? integer the seed of the run
---@field data? string a fingerprint of the data
---@field [string] any

---A ticket of the values that a model has now at the entries of a mask.
---@param model Model the model, trained
---@param mask Mask the entries
---@param options lota.ticket.new.Options
---@return Ticket # the ticket
function lota.ticket.new(model, mask, options) end

---Reads a tokenizer.json, or that of a model folder.
---@param path string the file or the folder
---@return Tokenizer # the tokenizer
function lota.tokenizer.load(path) end

---@class lota.tokenizer.train.Options
---@field vocab? integer tokens in all, bytes and special tokens included
---@field alphabet? string bytes: any text can be read; seen: only the bytes of the texts are tokens
---@field min_frequency? integer how often a pair must occur to become a token
---@field bos? string the token that begins a text
---@field eos? string the token that ends a text; an empty one is none
---@field special? string[] further special tokens

---Trains a byte-level BPE tokenizer.
---@param texts string[] what to train on
---@param options? lota.tokenizer.train.Options
---@return Tokenizer # the tokenizer
function lota.tokenizer.train(texts, options) end

---@class lota.train.grad_scores.Options
---@field kind? string|function gradient, fisher, or function(name, gradient, gathered) -> Tensor
---@field params? string|string[]|function which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean
---@field limit? integer use only so many batches
---@field loss? function|table function(logp, batch) -> Tensor: the loss, one number computed from the log-probabilities of the labelled positions (a Tensor); cross-entropy if not given. The batch may be several batches in one. Or {on = "logits", fn = function(logits, rows) -> Tensor}: a number for each row of logits, [n, vocab] in f32, of n labelled positions at a time, which rows (Rows) tells of; their mean, or sum as reduction says, is the loss, and a number may depend on its own row alone. The weights may not be changed in it, and gradients reach them through logp or logits alone: a loss that takes the model's weights otherwise, or scores, tickets, copies or numbers made of them, is an error, unless a tensor is detached or what is taken was made before the step; it is computed for each batch, which counts by its labelled positions
---@field checkpoint? string none, or block: compute activations again, for less memory and more time

---Scores from gradients, gathered as the backward finds them.
---@param model Model the model; it is not changed
---@param batches Batches|Examples|Batch|Batch[] the data; of a stream, its current epoch
---@param options? lota.train.grad_scores.Options
---@return Values # the scores of these parameters
function lota.train.grad_scores(model, batches, options) end

---@class lota.train.new.Options
---@field mask? Mask train these entries
---@field params? string|string[]|function train these parameters whole (all, if no mask is given): which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean
---@field optimizer? string how steps are taken: rmsprop, adamw, sgd or lion
---@field alpha? number rmsprop: the decay of the mean of squares
---@field eps? number rmsprop, adamw: added after the square root
---@field momentum? number rmsprop, sgd: the decay of the momentum
---@field weight_decay? number rmsprop, sgd: an L2 penalty, added to the gradient; adamw, lion: decoupled weight decay, of the trained entries alone
---@field betas? number[] adamw: the decays of the two means; lion: the weight of the past in a step, and the decay of the mean
---@field dampening? number sgd: the fraction of a gradient that does not enter the momentum, from the second step on
---@field nesterov? boolean sgd: look ahead (Nesterov momentum)
---@field lr? number the learning rate
---@field schedule? string|function constant, linear, cosine, or function(step, total) -> factor, with the step's number from 1
---@field warmup? integer steps over which the learning rate rises
---@field steps? integer how many steps there will be; linear and cosine need it, fit takes it as default
---@field accumulate? integer batches that fit puts into a step
---@field clip_norm? number the most that the norm of all gradients together may be
---@field clip_per_parameter? number the most that the norm of each parameter's gradient may be
---@field checkpoint? string none, or block: compute activations again, for less memory and more time
---@field reduction? string mean or sum. Cross-entropy is the mean over labelled positions, or the sum over each sequence and the mean over sequences; a loss over logits is that of its rows. Another loss of your own is computed once over all batches of a step, as if they were one, unless this is given: then once for each batch, without the further forward pass that this takes, and the results are averaged with the numbers of labelled positions as weights (mean) or added up (sum)
---@field label_smoothing? number of cross-entropy: the share of each label's probability that is spread evenly over the vocabulary, at least 0 and below 1; PyTorch's label_smoothing (arXiv 1512.00567)
---@field z_loss? number of cross-entropy: the weight of the square of the logits' log-sum-exp, which is added at each labelled position; PaLM's z-loss (arXiv 2204.02311), there 1e-4
---@field loss? function|table function(logp, batch) -> Tensor: the loss, one number computed from the log-probabilities of the labelled positions (a Tensor); cross-entropy if not given. The batch may be several batches in one. Or {on = "logits", fn = function(logits, rows) -> Tensor}: a number for each row of logits, [n, vocab] in f32, of n labelled positions at a time, which rows (Rows) tells of; their mean, or sum as reduction says, is the loss, and a number may depend on its own row alone. The weights may not be changed in it, and gradients reach them through logp or logits alone: a loss that takes the model's weights otherwise, or scores, tickets, copies or numbers made of them, is an error, unless a tensor is detached or what is taken was made before the step
---@field penalty? table {anchor = Values, weight = number|Values}: adds ½ Σ weight (w - anchor)² over the trained entries to the loss. With Fisher information as weight it is EWC, with a number L2-SP. Both values are of the trained entries at least
---@field groups? table[] parameters with a rate or decay of their own: a list of {params = pattern|list of patterns, lr = number, weight_decay = number}; no parameter may be in two
---@field per_block? boolean update each block as soon as its gradients are there, so that they are never all held; a step that is cancelled is taken back only if at most a tenth of the entries is trained
---@field keep_packed? boolean keep frozen and sparsely trained matrices as the CPU's products read them, from step to step: the same bits sooner, the more so the fewer tokens a batch has, for the memory of two more copies of them

---Prepares the training of some entries of a model.
---@param model Model the model; it is changed in place
---@param options? lota.train.new.Options
---@return Trainer # the trainer, at step 0
function lota.train.new(model, options) end

---The optimizers that `train.new` knows.
---@return table[] # name, options (its own, with their defaults) and state (the names of what it keeps for each entry) of each
function lota.train.optimizers() end

---Ends the script with an error of its command line: no line of the script is shown.
---@param text string what is wrong, with the name of the option
function lota.usage(text) end

---The same number for every entry of a mask.
---@param mask Mask the entries
---@param number number the number
---@return Values # the values
function lota.values.full(mask, number) end

---@class lota.values.load.Options
---@field model? Model|Mask|Values|Ticket refuse values of another model than this

---Reads a file of values that Values:save wrote.
---@param path string the file
---@param options? lota.values.load.Options
---@return Values # the values
function lota.values.load(path, options) end

---@class lota.values.new.Options
---@field mask? Mask values of these entries alone, and as short; the function sees no others

---Values made by a function of each parameter.
---@param model Model the model
---@param make function function(name, tensor) -> Tensor of the same shape, or nil for no values; the tensor is the parameter, or [n] of its entries in the mask in rising order
---@param options? lota.values.new.Options
---@return Values # the values
function lota.values.new(model, make, options) end

---The values that a ticket sets.
---@param ticket Ticket the ticket
---@return Values # the values, over its mask
function lota.values.of_ticket(ticket) end

---@class lota.values.weights.Options
---@field mask? Mask those of these entries
---@field params? string|string[]|function those of these parameters (all, if no mask is given): which parameters: "adaptable" (attention and MLP matrices), "all", "lora" (factors of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a function(parameter) -> boolean

---The weights of a model, copied in f32.
---@param model Model the model
---@param options? lota.values.weights.Options
---@return Values # the weights
function lota.values.weights(model, options) end

---The version of lota.
---@type string
lota.version = nil

---@class lota.zeros.Options
---@field dtype? string type of the numbers: f32, f64, bf16, f16, u8, u32, i16, i32 or i64
---@field device? string where it lies: cpu, cuda:N or metal; this run's device if not given

---A tensor of zeros.
---@param shape integer|integer[] the shape
---@param options? lota.zeros.Options
---@return Tensor # the tensor
function lota.zeros(shape, options) end

return lota
