using FlowMM.Abstractions;
using FlowMM.Engine;
using FsCheck.Xunit;
using Xunit;

namespace FlowMM.UnitTests.Engine;

public sealed class SamplerTests
{
    [Fact]
    public void Choose_Greedy_TakesHighestAndLowestIdOnTie() => Assert.Equal(1, Choose(new(), [0, 3, 3, 1]));

    [Fact]
    public void Choose_TopKOne_EqualsGreedyWhateverTheTemperature() =>
        Assert.Equal(2, Choose(new() { Temperature = 2, TopK = 1, Seed = 7 }, [0, 1, 5, 4]));

    [Fact]
    public void Choose_RepetitionPenalty_LowersSeenTokens()
    {
        Sampler sampler = new(SamplingPlan.From(new() { RepetitionPenalty = 2 }));
        sampler.Saw([0]);
        Assert.Equal(1, sampler.Choose((float[])[4, 3, -1], 0));
    }

    [Fact]
    public void Choose_NegativeSeenLogit_IsMultiplied()
    {
        Sampler sampler = new(SamplingPlan.From(new() { RepetitionPenalty = 2 }));
        sampler.Saw([0]);
        Assert.Equal(1, sampler.Choose((float[])[-1, -1.5f], 0));
    }

    [Fact]
    public void Choose_TopP_NeverLeavesTheNucleus()
    {
        // Probabilities 0.64, 0.24, 0.09, 0.03: a nucleus of 0.8 holds the first two.
        int[] drawn = [.. Enumerable.Range(0, 500).Select(i => Choose(new() { Temperature = 1, TopP = 0.8 }, [3, 2, 1, 0], i))];
        Assert.Equal([0, 1], drawn.Distinct().Order());
    }

    [Fact]
    public void Choose_MinP_DropsWhatIsFarBelowTheBest()
    {
        int[] drawn = [.. Enumerable.Range(0, 500).Select(i => Choose(new() { Temperature = 1, MinP = 0.3 }, [3, 2, 1, 0], i))];
        Assert.Equal([0, 1], drawn.Distinct().Order());
    }

    [Fact]
    public void Choose_ManyPositions_FollowsTheSoftmax()
    {
        double share = Enumerable.Range(0, 20_000).Count(i => Choose(new() { Temperature = 1, Seed = 3 }, [1, 0], i) == 0) / 20_000.0;
        Assert.InRange(share, 0.715, 0.747); // 1 / (1 + e^-1) = 0.731, five standard errors
    }

    [Property]
    public bool Uniform_AnySeedAndPosition_IsInRangeAndRepeats(ulong seed, int position)
    {
        double drawn = Sampler.Uniform(seed, position);
        return drawn is >= 0 and < 1 && drawn == Sampler.Uniform(seed, position);
    }

    [Theory]
    [InlineData("temperature")]
    [InlineData("top_p")]
    [InlineData("top_k")]
    [InlineData("min_p")]
    [InlineData("repetition_penalty")]
    [InlineData("max_tokens")]
    [InlineData("stop")]
    public void From_OutOfRange_NamesTheOption(string name)
    {
        SamplingOptions wrong = name switch
        {
            "temperature" => new() { Temperature = 2.5 },
            "top_p" => new() { TopP = 0 },
            "top_k" => new() { TopK = -1 },
            "min_p" => new() { MinP = 1.5 },
            "repetition_penalty" => new() { RepetitionPenalty = 0 },
            "max_tokens" => new() { MaxTokens = 0 },
            _ => new() { Stop = [""] },
        };
        RefusedException refused = Assert.Throws<RefusedException>(() => SamplingPlan.From(wrong));
        Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
        Assert.Contains(name, refused.Message, StringComparison.Ordinal);
    }

    private static int Choose(SamplingOptions options, float[] logits, long position = 0) =>
        new Sampler(SamplingPlan.From(options)).Choose([.. logits], position);
}
