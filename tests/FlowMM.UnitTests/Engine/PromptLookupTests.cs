using FlowMM.Engine;
using Xunit;

namespace FlowMM.UnitTests.Engine;

public sealed class PromptLookupTests
{
    [Theory]
    [InlineData(new[] { 1, 2, 3, 4, 5, 1, 2, 3 }, 3, new[] { 4, 5, 1 })]
    [InlineData(new[] { 9, 2, 3, 7, 8, 1, 2, 3 }, 3, new[] { 7, 8, 1 })] // the last two only
    [InlineData(new[] { 1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3 }, 3, new[] { 5, 1, 2 })] // the newest place counts
    [InlineData(new[] { 6, 2, 3, 4, 8, 9, 3, 7, 2, 3 }, 3, new[] { 4, 8, 9 })] // two tokens count before one
    [InlineData(new[] { 6, 5, 5, 5 }, 3, new[] { 5, 5, 5 })] // a repetition goes on with itself
    [InlineData(new[] { 1, 2, 1, 2 }, 4, new[] { 1, 2, 1 })]
    [InlineData(new[] { 1, 2, 3, 4 }, 3, new int[0])]
    [InlineData(new[] { 3, 1, 2, 3 }, 3, new int[0])] // one token alone says nothing
    [InlineData(new[] { 3, 1, 2, 3 }, 1, new[] { 1, 2, 3 })] // unless it is asked for
    [InlineData(new[] { 3 }, 3, new int[0])]
    [InlineData(new int[0], 3, new int[0])]
    public void Draft_AfterTokens_IsWhatFollowedThem(int[] tokens, int ngram, int[] expected)
    {
        PromptLookup lookup = new(3, ngram);
        lookup.Saw(tokens);
        Assert.Equal(expected, lookup.Draft(8));
    }

    [Fact]
    public void Draft_WithLittleRoom_IsCut()
    {
        PromptLookup lookup = new(8, 3);
        lookup.Saw([1, 2, 3, 4, 1, 2]);
        Assert.Equal([3], lookup.Draft(1));
        Assert.Empty(lookup.Draft(0));
        Assert.Empty(lookup.Draft(-1));
    }

    [Fact]
    public void Told_HowDraftsDid_SetsTheLengthOfTheNext()
    {
        PromptLookup lookup = new(8, 3);
        lookup.Saw(Enumerable.Repeat(7, 20));
        Assert.Equal(8, lookup.Draft(15).Length);
        lookup.Told(8, 2);
        Assert.Equal(3, lookup.Draft(15).Length);
        lookup.Told(3, 3);
        Assert.Equal(6, lookup.Draft(15).Length);
        lookup.Told(6, 0);
        Assert.Single(lookup.Draft(15));
        Assert.Equal((17, 5), (lookup.Drafted, lookup.Accepted));
    }
}
