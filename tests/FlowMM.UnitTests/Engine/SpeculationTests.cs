using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace FlowMM.UnitTests.Engine;

/// <summary>Drafts save steps where an answer repeats, and change nothing: ids, reasons, scores, what is merged of a long tail.</summary>
public sealed class SpeculationTests
{
    public static TheoryData<double, string, int> Turns => new()
    {
        { 0, "full", 200 },
        { 0.2, "full", 200 },
        { 0, "flowmm", 200 },
        { 0, "flowmm", 700 }, // the tail passes its bound, and is merged
    };

    [Theory]
    [MemberData(nameof(Turns))]
    public async Task Generate_WithDrafts_GivesTheSameTurnInFewerSteps(double temperature, string method, int answer)
    {
        (EndEvent plain, long steps) = await Run(TinyModel.Model, temperature, method, answer, 0);
        (EndEvent drafted, long fewer) = await Run(TinyModel.Model, temperature, method, answer, 8);
        Assert.Equal(plain.Ids, drafted.Ids);
        Assert.Equal((plain.Reason, plain.Text), (drafted.Reason, drafted.Text));
        Assert.Equal(plain.Scores!.Select(s => (s.Id, s.Logprob)), drafted.Scores!.Select(s => (s.Id, s.Logprob)));
        Assert.Equal(plain.Compression?.Layers, drafted.Compression?.Layers);
        Assert.Equal(plain.Compression?.BytesAfter, drafted.Compression?.BytesAfter);
        Assert.Equal(answer == 700, plain.Compression?.Layers is not null && plain.Ids.Count > 512);
        Assert.InRange(drafted.Usage.AcceptedTokens, temperature == 0 ? plain.Ids.Count / 4 : 1, drafted.Usage.DraftedTokens);

        // Each of them saves a step; waking up for a command or an end may take one or two.
        Assert.InRange(steps - fewer, drafted.Usage.AcceptedTokens - 4, drafted.Usage.AcceptedTokens + 4);
        Assert.Equal(0, plain.Usage.DraftedTokens);
    }

    [Fact]
    public async Task Generate_WithoutKernels_DraftsNothing()
    {
        using ChatModel library = ChatModel.Load(TinyModel.Directory, new LoadSettings { Kernels = new KernelOptions { Enabled = false } });
        (EndEvent end, _) = await Run(library, 0, "full", 40, 8);
        Assert.Equal(0, end.Usage.DraftedTokens);
    }

    private static async Task<(EndEvent End, long Steps)> Run(ChatModel model, double temperature, string method, int answer, int draft)
    {
        using InferenceEngine engine = new(model, new EngineOptions(), NullLogger<InferenceEngine>.Instance);
        SamplingOptions sampling = new() { Temperature = temperature, MaxTokens = answer, Logprobs = 1, SpeculateTokens = draft };
        TurnInput input = Sequences.Input("s", 120, new() { Method = method, BudgetRatio = 0.3, Rounds = 1 }, sampling);
        await foreach (EngineEvent happened in engine.Generate(input, TestContext.Current.CancellationToken))
        {
            if (happened is EndEvent end)
            {
                await engine.CheckIntegrity(TestContext.Current.CancellationToken);
                return (end, engine.Steps);
            }
        }

        throw new InvalidOperationException("The engine ended a turn without saying so.");
    }
}
