using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using FlowMM.Model.Kernels;
using FlowMM.Model.Layers;
using FlowMM.Model.Vision;
using FlowMM.Model.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model;

/// <summary>
/// A chat model loaded from a folder of the Hugging Face layout: decoder, vision tower if any, tokenizer, chat template, image
/// preprocessor. Forward passes take turns, whoever calls; everything else may be read from any thread.
/// </summary>
public sealed class ChatModel : IDisposable
{
    private readonly ModelConfig _config;
    // The kernels' memory is the model's: a pass at a time.
    private readonly Lock _pass = new();
    private readonly CpuCompute? _compute;
    private readonly Decoder _decoder;
    private readonly IVisionEncoder? _vision;

    private ChatModel(string directory, ModelConfig config, WeightFiles files, LoadSettings settings, CpuCompute? compute)
    {
        (Device device, ScalarType dtype) = (settings.Device, settings.Dtype);
        (_config, Device, Dtype, _compute) = (config, device, dtype, compute);
        Name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory)));
        Tokenizer = TextTokenizer.Load(directory);
        Images = config.Vision is null ? null : LoadImages(directory, config.Vision);
        ImageTokenId = config.Parts.ImageToken is string token
            ? Tokenizer.FindAdded(token) ?? throw new CheckpointException(Path.Combine(directory, "tokenizer.json"), $"the token '{token}' is missing.")
            : config.Parts.ImageTokenId;
        DecoderConfig decoder = config.Decoder;
        CacheShape = new CacheShape(decoder.Layers, decoder.QueryHeads, decoder.KvHeads, decoder.HeadDim);
        bool together = compute is null && (settings.Together ?? settings.Devices.Any(d => d.type != DeviceType.CPU));
        DecodesTogether = together || RowsAreIndependent;
        LayerDevices = LayerSplit.Of(decoder, settings.Devices);
        _decoder = new Decoder(Part(config.Family.Decoder), decoder.TiedEmbeddings ? null : Part(config.Family.Head), compute, decoder, LayerDevices, dtype) { Batched = together };
        _vision = config.Vision is null ? null : config.Family.LoadVision(Part, config.Parts);

        // A tied head may be in the files all the same, and old ones carry the rotary frequencies.
        files.Skip(n => n.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal) || (decoder.TiedEmbeddings && n.EndsWith("lm_head.weight", StringComparison.Ordinal)));
        files.CheckAllUsed();
        Weights = compute?.Weights;
        Digest = device.type == DeviceType.META ? "" : files.Digest(Weights is null or WeightType.F32 ? "" : Weights.ToString()!);

        WeightSource Part(PartNames names) => new(files, names, device, dtype);
    }

    /// <summary>The folder's name.</summary>
    public string Name { get; }

    /// <summary>
    /// SHA-256 over configuration, weights and what narrows them, lower-case hexadecimal: equal where caches are exchangeable. Empty on a
    /// device without memory.
    /// </summary>
    public string Digest { get; }

    /// <summary>config.json's model_type.</summary>
    public string Architecture => _config.Architecture;

    /// <summary>Most tokens of a conversation.</summary>
    public int ContextLength => _config.Decoder.MaxPositions;

    /// <summary>Entries of the vocabulary, V.</summary>
    public int Vocabulary => _config.Decoder.Vocabulary;

    /// <summary>Tokens that end an answer.</summary>
    public IReadOnlySet<int> EndIds => _config.EndIds;

    /// <summary>The token whose rows pictures take; null for a text model.</summary>
    public int? ImageTokenId { get; }

    /// <summary>Visual tokens of every picture; 0 when they depend on its size, and for a text model.</summary>
    public int TokensPerImage => Images?.FixedTokens ?? 0;

    /// <summary>Text to ids and back.</summary>
    public TextTokenizer Tokenizer { get; }

    /// <summary>Messages to text.</summary>
    public required ChatTemplate Template { get; init; }

    /// <summary>Pictures to pixels; null for a text model.</summary>
    public ImagePreprocessor? Images { get; }

    /// <summary>Sizes of a session's cache.</summary>
    public CacheShape CacheShape { get; }

    /// <summary>Where it runs: its vision tower, its embedding, its first layer.</summary>
    public Device Device { get; }

    /// <summary>Where each decoder layer runs and keeps its part of the caches.</summary>
    public IReadOnlyList<Device> LayerDevices { get; }

    /// <summary>Type of weights and cache.</summary>
    public ScalarType Dtype { get; }

    /// <summary>What the kernels of the CPU keep matrices in; null when the tensor library computes, in <see cref="Dtype"/>.</summary>
    public WeightType? Weights { get; }

    /// <summary>Bytes of the matrices that a decoding step reads: all layers' and the head's.</summary>
    public long StepBytes => _decoder.StepBytes;

    /// <summary>
    /// True when a pass of one-token chunks computes every row bit for bit as a pass of its own would, as the kernels of the CPU do. The tensor
    /// library's products do not: their last bits change with the number of rows.
    /// </summary>
    public bool RowsAreIndependent => _compute is not null;

    /// <summary>True when single tokens of several sequences are to be computed in one pass: see <see cref="LoadSettings.Together"/>.</summary>
    public bool DecodesTogether { get; }

    /// <summary>See <see cref="Decoder.HiddenState"/>.</summary>
    internal Action<Tensor>? HiddenState
    {
        set => _decoder.HiddenState = value;
    }

    /// <summary>See <see cref="IVisionEncoder.State"/>.</summary>
    internal Action<string, Tensor>? VisionState
    {
        set
        {
            if (_vision is not null)
            {
                _vision.State = value;
            }
        }
    }

    /// <summary>Loads a checkpoint as <see cref="LoadSettings"/> have it by default, but for device and type.</summary>
    /// <param name="directory">Its folder.</param>
    /// <param name="device">See <see cref="LoadSettings.Device"/>.</param>
    /// <param name="dtype">See <see cref="LoadSettings.Dtype"/>.</param>
    /// <exception cref="CheckpointException">A file is missing, damaged or not supported; the text names it and the tensor or key.</exception>
    public static ChatModel Load(string directory, Device device, ScalarType dtype) => Load(directory, new LoadSettings { Device = device, Dtype = dtype });

    /// <summary>
    /// Loads a checkpoint. Weights are mapped and read piece by piece, into tensors or into the kernels' own layout, so that loading takes little
    /// more memory than the model.
    /// </summary>
    /// <param name="directory">Its folder.</param>
    /// <param name="settings">Where to, and how it is to compute.</param>
    /// <exception cref="CheckpointException">A file is missing, damaged or not supported; the text names it and the tensor or key.</exception>
    /// <exception cref="ArgumentException">The layers cannot be split over the devices.</exception>
    public static ChatModel Load(string directory, LoadSettings settings)
    {
        ModelConfig config = ModelConfig.Read(directory);
        ChatTemplate chat = ChatTemplate.Load(directory, settings.Template);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable mode = no_grad();
        using WeightFiles files = WeightFiles.Open(directory, settings.Progress);
        bool own = settings.Kernels.Enabled && settings.Devices.All(d => d.type == DeviceType.CPU) && settings.Dtype == float32;
        CpuCompute? compute = own ? new CpuCompute(settings.Kernels.Weights, settings.Kernels.Threads, settings.Path) : null;
        try
        {
            return new ChatModel(directory, config, files, settings, compute) { Template = chat };
        }
        catch
        {
            compute?.Dispose();
            throw;
        }
    }

    /// <summary>Cache memory for many sessions of this model; the caller disposes it after their caches.</summary>
    /// <param name="limit">Bytes that it may take.</param>
    public KvMemory NewMemory(long limit) => new(CacheShape, LayerDevices, Dtype, limit);

    /// <summary>An empty cache for a new session; the caller disposes it.</summary>
    public SessionCache NewCache() => new(CacheShape, LayerDevices, Dtype);

    /// <summary>Encodes a picture: [tokens, C], as many tokens as its layout says. The caller, or its scope, disposes the result.</summary>
    /// <param name="image">The preprocessed picture.</param>
    /// <exception cref="InvalidOperationException">The model has no vision tower.</exception>
    public Tensor EncodeImage(ProcessedImage image)
    {
        IVisionEncoder vision = _vision ?? throw new InvalidOperationException($"{Name} reads text only.");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable mode = no_grad();
        Tensor pixels = tensor(image.Pixels, [.. image.Layout.Shape]).to(Dtype, Device);
        return vision.Forward(pixels, image.Layout).MoveToOuterDisposeScope(); // [tokens, C]
    }

    /// <summary>
    /// Computes the next logits of several sequences: f32 [chunks, V] after each chunk's last token, or [all tokens, V] with
    /// <see cref="SequenceChunk.AllLogits"/>; a chunk with <see cref="SequenceChunk.Stepwise"/> has a row for each of its tokens either way. Caches
    /// grow by their chunks. The caller, or its scope, disposes the result.
    /// </summary>
    /// <param name="chunks">At least one; no two of the same cache. If the pass throws, no cache has changed.</param>
    /// <exception cref="ArgumentException">No chunk, an empty one, an id outside the vocabulary, or image rows that do not match the image tokens.</exception>
    public Tensor Forward(IReadOnlyList<SequenceChunk> chunks)
    {
        ArgumentOutOfRangeException.ThrowIfZero(chunks.Count);
        using Lock.Scope pass = _pass.EnterScope();
        using DisposeScope scope = NewDisposeScope();
        using IDisposable mode = no_grad();
        foreach (SequenceChunk chunk in chunks)
        {
            Check(chunk);
        }

        int[][] before = [.. chunks.Select(c => c.Cache.Layers.Select(l => l.Length).ToArray())];
        try
        {
            Tensor logits = Logits(chunks); // [n, V]
            foreach (SequenceChunk chunk in chunks)
            {
                Advance(chunk);
            }

            return logits.MoveToOuterDisposeScope();
        }
        catch
        {
            Undo(chunks, before);
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _decoder.Dispose();
        _vision?.Dispose();
        _compute?.Dispose();
    }

    /// <summary>Counts a chunk's tokens, and the positions that its pictures take less than tokens.</summary>
    private void Advance(SequenceChunk chunk)
    {
        foreach (PositionShift shift in _config.Decoder.Rope.Sections is not null ? RotaryPositions.Shifts(chunk) : [])
        {
            chunk.Cache.Shifts.Add(shift);
        }

        chunk.Cache.Advance(chunk.TokenIds.Length);
    }

    private static ImagePreprocessor LoadImages(string directory, VisionConfig vision)
    {
        ImagePreprocessor images = ImagePreprocessor.Load(directory, vision.Tokens);
        IReadOnlyList<long> shape = images.Layout(64, 64).Shape;
        return vision.Side == 0 || (shape[^1] == vision.Side && shape[^2] == vision.Side)
            ? images
            : throw new CheckpointException(
                Path.Combine(directory, "preprocessor_config.json"), $"pictures become {shape[^1]} x {shape[^2]} pixels; the vision tower reads {vision.Side} x {vision.Side}.");
    }

    /// <summary>Single tokens, and what asks for the same, by the kernels, if the model has them, whatever else is in the pass: so they never depend on it.</summary>
    private Tensor Logits(IReadOnlyList<SequenceChunk> chunks)
    {
        int steps = _decoder.Decoding is null ? 0 : chunks.Count(KernelDecoding.Takes);
        if (steps == chunks.Count)
        {
            return _decoder.Decoding!.Forward(chunks);
        }

        if (steps == 0)
        {
            Tensor x = _decoder.Forward(Embed(chunks), chunks); // [R, C]
            return _decoder.Logits(chunks[0].AllLogits ? x : LastRows(x, chunks)); // [n, V]
        }

        Tensor single = Logits([.. chunks.Where(KernelDecoding.Takes)]), others = Logits([.. chunks.Where(c => !KernelDecoding.Takes(c))]);
        (long step, long row) = (0, 0);
        List<Tensor> ordered = [];
        foreach (SequenceChunk chunk in chunks)
        {
            bool taken = KernelDecoding.Takes(chunk);
            long rows = taken || chunk.AllLogits ? chunk.TokenIds.Length : 1;
            ordered.Add(taken ? single.narrow(0, step, rows) : others.narrow(0, row, rows));
            (step, row) = taken ? (step + rows, row) : (step, row + rows);
        }

        return cat(ordered); // [n, V]
    }

    private static Tensor LastRows(Tensor x, IReadOnlyList<SequenceChunk> chunks)
    {
        long row = -1;
        long[] last = [.. chunks.Select(c => row += c.TokenIds.Length)];
        return last.Length == x.shape[0] ? x : last.Length == 1 ? x.narrow(0, row, 1) : x.index_select(0, tensor(last, device: x.device)); // [n, C]
    }

    /// <summary>Layers that ran have appended, later ones have not: all go back to where they were.</summary>
    private static void Undo(IReadOnlyList<SequenceChunk> chunks, int[][] before)
    {
        foreach ((SequenceChunk chunk, int[] lengths) in chunks.Zip(before))
        {
            foreach ((LayerCache layer, int length) in chunk.Cache.Layers.Zip(lengths))
            {
                layer.Truncate(length);
            }
        }
    }

    /// <summary>Tokens of a picture that a chunk of this length holds.</summary>
    private static int Inside(ImageSpan picture, int length) =>
        picture.Grid is null ? 0 : Math.Max(0, Math.Min(picture.Start + picture.Length, length) - Math.Max(picture.Start, 0));

    private void Check(SequenceChunk chunk)
    {
        int images = 0;
        foreach (int id in chunk.TokenIds.Span)
        {
            images += id == ImageTokenId ? 1 : 0;
            if ((uint)id >= (uint)Vocabulary)
            {
                throw new ArgumentException($"Token id {id} is outside the vocabulary of {Vocabulary}.", nameof(chunk));
            }
        }

        // A lone image token without a row is one that was sampled: it is embedded like any other.
        long given = chunk.ImageRows?.shape[0] ?? 0;
        bool matches = given == images || (chunk.ImageRows is null && (chunk.TokenIds.Length == 1 || chunk.Stepwise || chunk.Generated));
        bool placed = given == 0 || _config.Decoder.Rope.Sections is null || given == chunk.Pictures.Sum(p => Inside(p, chunk.TokenIds.Length));
        if (chunk.Stepwise && (!RowsAreIndependent || chunk.ImageRows is not null || chunk.Pictures.Count > 0))
        {
            throw new ArgumentException("A chunk is computed step by step only where rows are independent, and without pictures.", nameof(chunk));
        }

        if (!matches || !placed || chunk.TokenIds.Length == 0)
        {
            throw new ArgumentException(
                $"A chunk has {chunk.TokenIds.Length} tokens, {images} of them for pictures, {given} image rows, and names {chunk.Pictures.Count} pictures.", nameof(chunk));
        }
    }

    private Tensor Embed(IReadOnlyList<SequenceChunk> chunks)
    {
        int[] ids = [.. chunks.SelectMany(c => c.TokenIds.ToArray())];
        Tensor x = _decoder.Embed(ids, Device); // [R, C]
        List<long> places = [];
        int start = 0;
        foreach (SequenceChunk chunk in chunks)
        {
            int end = start + chunk.TokenIds.Length;
            places.AddRange(chunk.ImageRows is null ? [] : Enumerable.Range(start, end - start).Where(i => ids[i] == ImageTokenId).Select(i => (long)i));
            start = end;
        }

        return places.Count == 0
            ? x
            : x.index_copy_(0, tensor(places.ToArray(), device: Device), cat([.. chunks.Select(c => c.ImageRows).OfType<Tensor>()]).to(Dtype));
    }
}
