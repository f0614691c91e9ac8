using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.Model.Weights;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.ParityTests;

public sealed class ModelParityTests(ITestOutputHelper log)
{
    private const int Tail = 4;

    public static TheoryData<GoldenCase> Cases => [.. Goldens.Cases()];

    [Fact]
    public void Goldens_UnderTheRoot_AreFound() => Assert.NotEmpty(Goldens.Cases());

    [Theory]
    [MemberData(nameof(Cases), DisableDiscoveryEnumeration = true)]
    public void Prompt_OfMessages_EqualsReference(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        IReadOnlyList<ChatMessage> messages = golden.Messages(model);
        Assert.Equal(golden.Json.GetProperty("rendered").GetString(), model.Template.Render(messages, true));
        Assert.Equal(golden.InputIds, new PromptBuilder(model).Build(messages).Ids);
    }

    [Theory]
    [MemberData(nameof(Cases), DisableDiscoveryEnumeration = true)]
    public void Text_OfGreedyIds_EqualsReference(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        string expected = golden.Json.GetProperty("text").GetString()!;
        StreamingDetokenizer stream = new(model.Tokenizer);
        Assert.Equal(expected, model.Tokenizer.Decode(golden.GreedyIds));
        Assert.Equal(expected, string.Concat(golden.GreedyIds.Select(stream.Append)) + stream.Flush());
    }

    [Theory]
    [MemberData(nameof(Cases), DisableDiscoveryEnumeration = true)]
    public void Images_OfCase_EqualReference(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile tensors = golden.Tensors();
        if (!tensors.Contains("pixel_values"))
        {
            Assert.Empty(golden.Images());
            return;
        }

        ProcessedImage[] pictures = [.. golden.Images().Select(i => model.Images!.Preprocess(i))];
        Tensor pixels = cat([.. pictures.Select(p => tensor(p.Pixels, [.. p.Layout.Shape]))]);
        // Decoding and resizing are exact for PNG, so only the f32 normalisation may round differently.
        log.WriteLine($"pixels {Closeness.Check("pixel_values", tensors.Read("pixel_values"), pixels, 1e-6):E2}");
        Dictionary<string, List<Tensor>> states = [];
        model.VisionState = (name, x) => (states.TryGetValue(name, out List<Tensor>? list) ? list : states[name] = []).Add(x.alias().MoveToOuterDisposeScope());
        try
        {
            Tensor expected = tensors.Read("image_features");
            Tensor features = cat([.. pictures.Select(model.EncodeImage)]).reshape(expected.shape);
            log.WriteLine($"features {Closeness.Check("image_features", expected, features):E2}");
        }
        finally
        {
            model.VisionState = null;
        }

        Assert.NotEmpty(states);
        foreach ((string name, List<Tensor> seen) in states)
        {
            log.WriteLine($"{name} {Closeness.Check(name, tensors.Read(name), cat(seen, 0)):E2}");
        }
    }

    [Theory]
    [MemberData(nameof(Cases), DisableDiscoveryEnumeration = true)]
    public void Prefill_InOnePass_EqualsReference(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile tensors = golden.Tensors();
        using SessionCache cache = model.NewCache();
        List<Tensor> states = [];
        model.HiddenState = x => states.Add(x.clone().DetachFromDisposeScope());
        Tensor logits;
        try
        {
            logits = model.Forward([new() { Cache = cache, TokenIds = golden.InputIds, ImageRows = golden.ImageRows(model), AllLogits = true }]);
        }
        finally
        {
            model.HiddenState = null;
        }

        CheckStates(tensors, states);
        log.WriteLine($"logits {Closeness.Check("logits", tensors.Read("prefill.logits"), logits.narrow(0, golden.InputIds.Length - Tail, Tail)):E2}");
        CheckCache(tensors, cache);
        states.ForEach(s => s.Dispose());
    }

    [Theory]
    [MemberData(nameof(Cases), DisableDiscoveryEnumeration = true)]
    public void Prefill_InChunks_EqualsReference(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        foreach (int size in new[] { 1, 7, 64 })
        {
            using DisposeScope scope = NewDisposeScope();
            using SafeTensorsFile tensors = golden.Tensors();
            using SessionCache cache = model.NewCache();
            Tensor logits = Prefill(model, golden, cache, size);
            Tensor last = tensors.Read("prefill.logits").narrow(0, Tail - 1, 1);
            log.WriteLine($"chunks of {size}: logits {Closeness.Check("logits", last, logits):E2}");
            CheckCache(tensors, cache);
        }
    }

    [Theory]
    [MemberData(nameof(Cases), DisableDiscoveryEnumeration = true)]
    public void Greedy_AfterPrefill_EqualsReference(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile tensors = golden.Tensors();
        using SessionCache cache = model.NewCache();
        Tensor expected = tensors.Read("greedy.logits");
        Tensor logits = Prefill(model, golden, cache, golden.InputIds.Length);
        double largest = 0;
        for (int step = 0; step < golden.GreedyIds.Length; step++)
        {
            // The smallest margin between the two best is hundreds of times the noise, so ids are equal, not only close.
            largest = Math.Max(largest, Closeness.Check($"step {step}", expected.narrow(0, step, 1), logits));
            Assert.Equal(golden.GreedyIds[step], logits.argmax(-1).item<long>());
            logits = model.Forward([new() { Cache = cache, TokenIds = new[] { golden.GreedyIds[step] } }]);
        }

        Assert.Equal(golden.InputIds.Length + golden.GreedyIds.Length, cache.LogicalLength);
        log.WriteLine($"24 steps {largest:E2}");
    }

    [Theory]
    [MemberData(nameof(Cases), DisableDiscoveryEnumeration = true)]
    public void Greedy_WithoutCache_EqualsReference(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile tensors = golden.Tensors();
        using SessionCache cache = model.NewCache();
        int steps = golden.GreedyIds.Length;
        int[] all = [.. golden.InputIds, .. golden.GreedyIds.Take(steps - 1)];
        Tensor logits = model.Forward([new() { Cache = cache, TokenIds = all, ImageRows = golden.ImageRows(model), AllLogits = true }]);
        Closeness.Check("greedy.logits", tensors.Read("greedy.logits"), logits.narrow(0, golden.InputIds.Length - 1, steps));
    }

    [Theory]
    [MemberData(nameof(Cases), DisableDiscoveryEnumeration = true)]
    public void Batch_OfSeveralSequences_EqualsEachAlone(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile tensors = golden.Tensors();
        using SessionCache first = model.NewCache();
        using SessionCache second = model.NewCache();
        Tensor? rows = golden.ImageRows(model);
        int[] other = [.. golden.InputIds.Where(i => i != model.ImageTokenId)];
        Tensor both = model.Forward(
        [
            new() { Cache = second, TokenIds = other },
            new() { Cache = first, TokenIds = golden.InputIds, ImageRows = rows },
        ]);
        Closeness.Check("logits", tensors.Read("prefill.logits").narrow(0, Tail - 1, 1), both.narrow(0, 1, 1));
        Tensor next = model.Forward(
        [
            new() { Cache = second, TokenIds = other.AsMemory(0, 1) },
            new() { Cache = first, TokenIds = golden.GreedyIds.AsMemory(0, 1) },
        ]);
        Closeness.Check("decode", tensors.Read("greedy.logits").narrow(0, 1, 1), next.narrow(0, 1, 1));
    }

    private static Tensor Prefill(ChatModel model, GoldenCase golden, SessionCache cache, int size)
    {
        Tensor? rows = golden.ImageRows(model);
        Tensor logits = empty(0);
        for (int start = 0, seen = 0; start < golden.InputIds.Length; start += size)
        {
            int[] ids = golden.InputIds[start..Math.Min(golden.InputIds.Length, start + size)];
            int images = ids.Count(i => i == model.ImageTokenId);
            logits = model.Forward([new() { Cache = cache, TokenIds = ids, ImageRows = images == 0 ? null : rows!.narrow(0, seen, images) }]);
            seen += images;
        }

        return logits;
    }

    private void CheckStates(SafeTensorsFile tensors, List<Tensor> states)
    {
        int layers = states.Count - 2;
        if (tensors.Contains("prefill.inputs_embeds"))
        {
            log.WriteLine($"embeddings {Closeness.Check("embeddings", tensors.Read("prefill.inputs_embeds"), states[0]):E2}");
        }

        for (int i = 0; i <= layers; i++)
        {
            string name = i == layers ? "prefill.final_norm" : $"prefill.hidden.{i}";
            log.WriteLine($"{name} {Closeness.Check(name, tensors.Read(name), states[i + 1].narrow(0, states[i + 1].shape[0] - Tail, Tail)):E2}");
        }
    }

    private void CheckCache(SafeTensorsFile tensors, SessionCache cache)
    {
        double largest = 0;
        for (int i = 0; i < cache.Layers.Count; i++)
        {
            largest = Math.Max(largest, Closeness.Check($"keys of layer {i}", tensors.Read($"prefill.key.{i}"), cache.Layers[i].Keys));
            largest = Math.Max(largest, Closeness.Check($"values of layer {i}", tensors.Read($"prefill.value.{i}"), cache.Layers[i].Values));
        }

        log.WriteLine($"cache {largest:E2}");
    }
}
