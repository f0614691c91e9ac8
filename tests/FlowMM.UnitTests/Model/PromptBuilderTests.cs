using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Model;

public sealed class PromptBuilderTests
{
    private static readonly ChatMessage Question = new("user", [ChatPart.OfImage(32, 32), ChatPart.OfText("What is this?")]);
    private static readonly ChatMessage Answer = new("assistant", [ChatPart.OfText("a red dress")]);
    private static readonly ChatMessage Next = new("user", [ChatPart.OfText("What colour is it?")]);
    private readonly PromptBuilder _prompts = new(TinyModel.Model);

    [Fact]
    public void Build_WithPicture_MarksItsTokens()
    {
        PromptTokens prompt = _prompts.Build([Question]);
        ImageSpan span = Assert.Single(prompt.Images);
        Assert.Equal(TinyModel.Model.TokensPerImage, span.Length);
        Assert.All(prompt.Ids[span.Start..(span.Start + span.Length)], id => Assert.Equal(TinyModel.Model.ImageTokenId, id));
        Assert.Equal(span.Length, prompt.Ids.Count(id => id == TinyModel.Model.ImageTokenId));
    }

    [Fact]
    public void Continue_AfterAnAnswer_AddsWhatAReplayWouldHold()
    {
        NextPrompt next = _prompts.Continue([Question, Answer], Next);
        Assert.False(next.Reset);
        int[] replay = _prompts.Build([Question, Answer, Next]).Ids;
        int[] answer = TinyModel.Model.Tokenizer.Encode("a red dress", parseSpecial: false);
        int[] fed = [.. _prompts.Build([Question]).Ids, .. answer, .. next.Tokens.Ids];
        Assert.Equal(replay, fed);
        Assert.Contains(next.Tokens.Ids[0], TinyModel.Model.EndIds);
    }

    [Fact]
    public void Continue_WhenAPictureRewritesTheHistory_StartsAnew()
    {
        // With a second picture the template numbers the first one too.
        NextPrompt next = _prompts.Continue([Question, Answer], Question);
        Assert.True(next.Reset);
        Assert.Equal(2, next.Tokens.Images.Count);
    }
}
