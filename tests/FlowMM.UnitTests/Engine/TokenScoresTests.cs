using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace FlowMM.UnitTests.Engine;

public sealed class TokenScoresTests
{
    [Fact]
    public void Of_Logits_AreLogarithmsOfTheirSoftmax()
    {
        TokenScores scores = TokenScores.Of([1f, 3f, 3f, -2f], chosen: 0, top: 3);
        double all = Math.Log(Math.Exp(1) + (2 * Math.Exp(3)) + Math.Exp(-2));
        Assert.Equal((0, 1 - all), (scores.Id, scores.Logprob));
        Assert.Equal([1, 2, 0], scores.Top.Select(t => t.Id));
        Assert.Equal([3 - all, 3 - all, 1 - all], scores.Top.Select(t => t.Logprob));
    }

    [Fact]
    public void Of_NoTop_NamesOnlyTheChosen() => Assert.Empty(TokenScores.Of([1f, 2f], chosen: 1, top: 0).Top);

    [Fact]
    public async Task Generate_Logprobs_ComeWithTheEndAndChangeNoToken()
    {
        using InferenceEngine engine = new(TinyModel.Model, new(), NullLogger<InferenceEngine>.Instance);
        (_, EndEvent plain) = await new EngineSession(engine, "a").Ask("What is in the image?", TinyModel.Picture("garment-039"));
        (_, EndEvent end) = await new EngineSession(engine, "b").Ask("What is in the image?", TinyModel.Picture("garment-039"), new() { Logprobs = 3 });
        Assert.Null(plain.Scores);
        Assert.Equal(plain.Ids, end.Ids);
        Assert.Equal(end.Ids, end.Scores!.Select(s => s.Id));
        Assert.All(end.Scores!, s => Assert.Equal((s.Id, s.Logprob), s.Top[0])); // greedy
        Assert.All(end.Scores!, s => Assert.InRange(s.Top.Sum(t => Math.Exp(t.Logprob)), 0, 1 + 1e-6));
    }

    [Fact]
    public void From_TooManyLogprobs_IsRefused() =>
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<RefusedException>(() => SamplingPlan.From(new() { Logprobs = 21 })).Code);
}
