using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.UnitTests.Snapshots;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Engine;

/// <summary>A model whose layers are split over two devices gives what it gives on one, whatever happens to the caches.</summary>
public sealed class DeviceSplitTests
{
    [Theory]
    [InlineData(true, "full")]
    [InlineData(true, "flowmm")]
    [InlineData(false, "full")]
    [InlineData(false, "flowmm")]
    public async Task Generate_OverTwoDevices_GivesTheBitsOfOne(bool kernels, string method)
    {
        using ChatModel one = Load(kernels, "cpu"), two = Load(kernels, "cpu:0", "cpu:1");
        Assert.Equal(one.Digest, two.Digest);
        using InferenceEngine straight = Start(one), split = Start(two), other = Start(one);
        TurnInput first = Turn(method, [], 300);
        EndEvent expected = await Run(straight, first), end = await Run(split, first);
        Assert.Equal(Told(expected), Told(end));
        Assert.Equal(method == "flowmm", end.Compression is not null);
        SessionImage image = await Image(split);
        Assert.True(Images.Same(await Image(straight), image));

        // The split cache goes to host memory and comes back; a snapshot of it goes to a model on one device.
        await split.Cool(TimeSpan.Zero, TimeSpan.FromHours(1), TestContext.Current.CancellationToken);
        Assert.Equal((0, true), (split.BytesOf("split").Device, split.BytesOf("split").Host > 0));
        SessionImage read = Images.Read(Images.Write(image, new SnapshotSettings { ChunkBytes = 1 << 18 }), shape: one.CacheShape);
        Assert.True(await other.Receive("split", read, new CacheArrival(CacheSource.Restored, 1, 1), TestContext.Current.CancellationToken));
        TurnInput second = Turn(method, [first.Prompt, new TokenRun { Ids = end.Ids }], 200);
        EndEvent next = await Run(straight, second);
        foreach (InferenceEngine engine in (InferenceEngine[])[split, other])
        {
            EndEvent again = await Run(engine, second);
            Assert.Equal(Told(next), Told(again));
            Assert.Equal(0, again.Provenance.TokensReplayed);
            Assert.True(Images.Same(await Image(straight), await Image(engine)));
            await engine.CheckIntegrity(TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task Generate_PictureOverTwoDevices_AnswersAsOne()
    {
        using ChatModel two = Load(true, "cpu:0", "cpu:1");
        using InferenceEngine straight = Start(TinyModel.Model), split = Start(two);
        (string expected, _) = await new EngineSession(straight, "picture").Ask("What is this?", TinyModel.Picture("garment-039"));
        (string text, _) = await new EngineSession(split, "picture").Ask("What is this?", TinyModel.Picture("garment-039"));
        Assert.Equal(expected, text);
    }

    [Fact]
    public void NewMemory_OverTwoDevices_IsASlabEachOfItsLayersShare()
    {
        using ChatModel two = Load(true, "cpu:0", "cpu:1");
        using KvMemory memory = two.NewMemory(1 << 24);
        int layers = two.CacheShape.Layers, first = Enumerable.Range(0, layers).Count(l => memory.Of(l) == memory.Of(0));
        Assert.InRange(first, 1, layers - 1);
        Assert.All(Enumerable.Range(first, layers - first), l => Assert.Same(memory.Of(layers - 1), memory.Of(l)));
        Assert.Equal((long)((decimal)(1 << 24) * first / layers), memory.Of(0).Limit);
    }

    [Fact]
    public void Load_MoreDevicesThanLayers_SaysBoth()
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() => Load(true, [.. Enumerable.Range(0, 99).Select(i => $"cpu:{i}")]));
        Assert.Contains($"{TinyModel.Model.CacheShape.Layers} layers", error.Message, StringComparison.Ordinal);
    }

    private static ChatModel Load(bool kernels, params string[] devices) => ChatModel.Load(TinyModel.Directory, new LoadSettings
    {
        Devices = [.. devices.Select(d => device(d))],
        Kernels = new KernelOptions { Enabled = kernels, Threads = 2 },
    });

    private static InferenceEngine Start(ChatModel model) => new(
        model, new EngineOptions { CacheBytes = 1 << 26, PrefillChunk = 64 }, NullLogger<InferenceEngine>.Instance);

    private static TurnInput Turn(string method, IReadOnlyList<TokenRun> history, int length) => Sequences.Input(
        "split", length, new() { Method = method, BudgetRatio = 0.3 }, new() { Temperature = 0.8, Seed = 5, MaxTokens = 24, Logprobs = 2, RepetitionPenalty = 10 }) with
    { History = history };

    private static async Task<SessionImage> Image(InferenceEngine engine) => (await engine.Capture("split", TestContext.Current.CancellationToken)).Image!;

    private static async Task<EndEvent> Run(InferenceEngine engine, TurnInput input) => (await new EngineSession(engine, "split").Run(input)).End;

    private static string Told(EndEvent end) =>
        $"{string.Join(' ', end.Ids)} {end.Reason} {string.Join(' ', end.Scores!.Select(s => s.Logprob))} {string.Join(' ', end.Compression?.Layers.Select(l => l.Kept) ?? [])}";
}
