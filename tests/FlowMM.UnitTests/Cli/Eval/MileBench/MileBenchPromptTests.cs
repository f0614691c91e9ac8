using FlowMM.Cli;
using FlowMM.Cli.Eval.MileBench;
using Xunit;

namespace FlowMM.UnitTests.Cli.Eval.MileBench;

/// <summary>Prompts as MileBench writes them; a token is a letter here, a picture takes ten.</summary>
public sealed class MileBenchPromptTests
{
    private static readonly MileBenchPrompt Prompt = new(text => [.. text.Select(c => (int)c)], ids => string.Concat(ids.Select(i => (char)i)), _ => 10);

    [Fact]
    public void Write_PicturesAndTables_AreInTheirPlaces() => Assert.Equal(
        ("Look.\n<ImageHere>one <ImageHere>two?", "1.png 2.png"), Write(Sample("{image#1}one {table#2}two?"), 1000));

    [Fact]
    public void Write_Choices_AreListedBehindTheQuestion() => Assert.Equal(
        "Look.\n<ImageHere><ImageHere>which?\nChoice list: \nA. red\nB. blue\nYour answer is: ",
        Write(Sample("{image#1}{image#2}which?") with { Choices = ["red", "blue"] }, 1000).Text);

    [Fact]
    public void Write_ChoicesOfRetrieval_HaveNoLetters() => Assert.Contains(
        "Choice list: \nred\nblue\n", Prompt.Write("GPR1200", Sample("{image#1}{image#2}?") with { Choices = ["red", "blue"] }, 1000).Text, StringComparison.Ordinal);

    [Theory]
    [InlineData(40, "Look.\none <ImageHere>two <ImageHere>three?", "1.png 2.png")]
    [InlineData(30, "Look.\ntwo <ImageHere>three?", "2.png")]
    [InlineData(24, "Look.\n<ImageHere>three?", "2.png")]
    [InlineData(14, "Look.\nthree?", "")]
    [InlineData(9, "Look.\nree?", "")]
    public void Write_TooLong_LosesItsBeginning(int room, string text, string pictures) =>
        Assert.Equal((text, pictures), Write(Sample("one {image#1}two {image#2}three?"), room));

    [Fact]
    public void Write_Combined_ShowsOnePictureAndNamesTheOthers() => Assert.Equal(
        ("<ImageHere>\nLook.\n<Image 1> one <Image 2> two?", "c.png"), Write(Sample("{image#1}one {image#2}two?") with { Combined = true, Pictures = ["c.png"] }, 1000));

    [Fact]
    public void Write_MorePlacesThanPictures_NamesTheSample() => Assert.Contains(
        "sample 7", Assert.Throws<CommandException>(() => Write(Sample("{image#1}{image#1}{image#2}?"), 1000)).Message, StringComparison.Ordinal);

    private static (string Text, string Pictures) Write(MileBenchSample sample, int room)
    {
        (string text, IReadOnlyList<string> pictures) = Prompt.Write("TQA", sample, room);
        return (text, string.Join(' ', pictures));
    }

    private static MileBenchSample Sample(string context) => new()
    {
        Id = "7",
        Instruction = "Look.",
        Context = context,
        Response = "red",
        PictureCount = 2,
        Combined = false,
        Pictures = ["1.png", "2.png"],
    };
}
