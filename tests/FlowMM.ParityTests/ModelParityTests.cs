using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.Model.Weights;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.ParityTests;

[Collection(GoldenCase.Collection)]
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
        Assert.Equal(golden.Prompt(model), new PromptBuilder(model).Build(messages).Ids);
    }

    [Theory]
    [MemberData(nameof(Cases), DisableDiscoveryEnumeration = true)]
    public void Text_OfGreedyIds_EqualsReference(GoldenCase golden)
    {
        ChatModel model = golden.Model();
        string expected = golden.Json.GetProperty("text").GetString()!;
        StreamingDetokenizer stream = new(model.Tokenizer);
        Assert.Equal(expected, model.Tokenizer.Decode(golden.GreedyIds));
        string shown = string.Concat(golden.GreedyIds.Select(stream.Append)) + stream.Flush();

        // Where bytes are tokens, a run of them that is no UTF-8 takes back characters that a stream has shown already.
        bool takesBack = golden.FallsBackToBytes && expected.Contains('\uFFFD', StringComparison.Ordinal);
        Assert.True(takesBack || expected == shown, $"'{shown}' instead of '{expected}'");
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
            logits = model.Forward([golden.Chunk(model, cache, 0, int.MaxValue) with { AllLogits = true }]);
        }
        finally
        {
            model.HiddenState = null;
        }

        CheckStates(tensors, states);
        log.WriteLine($"logits {Closeness.Check("logits", tensors.Read("prefill.logits"), logits.narrow(0, cache.LogicalLength - Tail, Tail)):E2}");
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
        Tensor logits = Prefill(model, golden, cache, int.MaxValue);
        double largest = 0;
        for (int step = 0; step < golden.GreedyIds.Length; step++)
        {
            // The smallest margin between the two best is hundreds of times the noise, so ids are equal, not only close.
            largest = Math.Max(largest, Closeness.Check($"step {step}", expected.narrow(0, step, 1), logits));
            Assert.Equal(golden.GreedyIds[step], logits.argmax(-1).item<long>());
            logits = model.Forward([new() { Cache = cache, TokenIds = new[] { golden.GreedyIds[step] } }]);
        }

        Assert.Equal(golden.Prompt(model).Length + golden.GreedyIds.Length, cache.LogicalLength);
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
        int[] prompt = golden.Prompt(model);
        int[] all = [.. prompt, .. golden.GreedyIds.Take(steps - 1)];
        Tensor logits = model.Forward([golden.Chunk(model, cache, 0, int.MaxValue) with { TokenIds = all, AllLogits = true }]);
        Closeness.Check("greedy.logits", tensors.Read("greedy.logits"), logits.narrow(0, prompt.Length - 1, steps));
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
        int[] other = [.. golden.InputIds.Where(i => i >= 0 && i != model.ImageTokenId)];
        Tensor both = model.Forward(
        [
            new() { Cache = second, TokenIds = other },
            golden.Chunk(model, first, 0, int.MaxValue),
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
        Tensor logits = empty(0);
        int length = golden.Prompt(model).Length;
        for (int start = 0; start < length; start += Math.Min(size, length))
        {
            logits = model.Forward([golden.Chunk(model, cache, start, size == int.MaxValue ? length : size)]);
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
