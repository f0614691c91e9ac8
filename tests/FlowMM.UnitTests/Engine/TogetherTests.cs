using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace FlowMM.UnitTests.Engine;

/// <summary>
/// The engine over a model whose steps the tensor library computes together, as on a device. Its last bits depend on the company, so these are questions
/// whose answers are no near-ties.
/// </summary>
public sealed class TogetherTests
{
    private const int Answer = 30;

    private static readonly string[] Pictures = ["garment-039", "shape-016", "code-019", "garment-011", "shape-071", "codefont-004"];

    [Fact]
    public async Task Generate_ManySessions_AnswersAsEachAloneInFewerPasses()
    {
        using ChatModel model = Load();
        using InferenceEngine alone = Start(model), shared = Start(model);
        List<string> expected = [];
        foreach (string picture in Pictures)
        {
            expected.Add(await Ask(alone, picture));
        }

        string[] answers = await Task.WhenAll(Pictures.Select(p => Task.Run(() => Ask(shared, p))));
        Assert.Equal(expected, answers);
        Assert.InRange(shared.Steps, 1, alone.Steps - 1);
        await shared.CheckIntegrity(TestContext.Current.CancellationToken);
    }

    /// <summary>Who wants log-probabilities is sampled on the host, who wants none where the logits are: the tokens are the same.</summary>
    [Theory]
    [InlineData(0.0)]
    [InlineData(0.6)]
    [InlineData(1.5)]
    public async Task Generate_SampledHereOrThere_GivesTheSameIds(double temperature)
    {
        using ChatModel model = Load();
        using InferenceEngine engine = Start(model);
        SamplingOptions sampling = new() { Temperature = temperature, TopP = 0.95, TopK = 200, Seed = 3, MaxTokens = Answer };
        EndEvent there = await Run(engine, 90, sampling), here = await Run(engine, 90, sampling with { Logprobs = 1 });
        Assert.Equal(there.Ids, here.Ids);
        Assert.Equal((null, here.Ids.Count), (there.Scores, here.Scores!.Count));

        // Side by side: ids come from one place or the other for each row.
        EndEvent[] ends = await Task.WhenAll(Enumerable.Range(0, 6).Select(i => Task.Run(() =>
            Run(engine, 90 + (i / 2), sampling with { MaxTokens = 8, Logprobs = i % 2 == 0 ? 1 : null }))));
        Assert.All(ends.Chunk(2), pair => Assert.Equal(pair[0].Ids, pair[1].Ids));
        Assert.Equal(there.Ids.Take(ends[0].Ids.Count), ends[0].Ids);
    }

    private static ChatModel Load()
    {
        ChatModel model = ChatModel.Load(TinyModel.Directory, new LoadSettings { Kernels = new KernelOptions { Enabled = false }, Together = true });
        Assert.True(model.DecodesTogether && !model.RowsAreIndependent);
        return model;
    }

    private static async Task<EndEvent> Run(InferenceEngine engine, int length, SamplingOptions sampling)
    {
        string key = $"{length} {sampling.Logprobs} {Guid.NewGuid()}";
        return (await new EngineSession(engine, key).Run(Sequences.Input(key, length, sampling: sampling))).End;
    }

    private static InferenceEngine Start(ChatModel model) => new(model, new EngineOptions { CacheBytes = 1 << 26 }, NullLogger<InferenceEngine>.Instance);

    private static async Task<string> Ask(InferenceEngine engine, string picture)
    {
        EngineSession session = new(engine, picture);
        (string first, _) = await session.Ask("What is this?", TinyModel.Picture(picture));
        (string second, _) = await session.Ask("What color is it?");
        return $"{first} / {second}";
    }
}
