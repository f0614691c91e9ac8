using FlowMM.Cli;
using FlowMM.Cli.Eval.MileBench;
using Xunit;

namespace FlowMM.UnitTests.Cli.Eval.MileBench;

/// <summary>MileBench's rules of scoring. What is expected was printed by its own evaluate.py and by the package rouge.</summary>
public sealed class MileBenchScoringTests
{
    private static readonly string[] Choices = ["a red car", "a blue bus", "no", "it is 3.5 m"];

    [Theory]
    [InlineData("A. Yes, it is!", "a yes it is")]
    [InlineData(" The  cat\nsat, on the mat. ", "the  cat sat on the mat")]
    [InlineData("1,234 people; (all) of them", "1234 people all of them")]
    [InlineData("3.5 metres. Done.", "3.5 metres done")]
    [InlineData("'quoted'", "quoted")]
    [InlineData("\"It's\"", "it's")]
    [InlineData("well-known fact", "well known fact")]
    [InlineData("a - b", "a  b")]
    [InlineData("... ", "")]
    [InlineData("x/y_z", "x y z")]
    [InlineData("(B) red car", "b red car")]
    public void Plain_Answer_IsAsEvaluatePy(string answer, string plain) => Assert.Equal(plain, AnswerText.Plain(answer));

    [Theory]
    [InlineData("the cat sat on the mat", "the cat is on the mat", 0.7999999950000002)]
    [InlineData("a yellow boot", "a yellow boot", 0.999999995)]
    [InlineData("boot yellow a", "a yellow boot", 0.3333333283333334)]
    [InlineData("it is red", "blue", 0.0)]
    [InlineData("the the the", "the cat", 0.6666666622222223)]
    [InlineData("w1 w2 w6 w7 w8.5 w1 w3 w8 w9 w5", "w1 w2 w3 w4 w5", 0.5714285668367348)]
    [InlineData("version 3.5 is out", "version 3.6 is out", 0.7999999950000002)]
    [InlineData("b a b c", "a b c a", 0.999999995)]
    [InlineData("", "blue", 0.0)]
    public void F_AnswerAndReference_IsAsThePackageRouge(string answer, string reference, double f) => Assert.Equal(f, RougeL.F(answer, reference), 12);

    [Theory]
    [InlineData("A", "A")]
    [InlineData("a. a red car", "A")]
    [InlineData("the answer is b a blue bus", "B")]
    [InlineData("a blue bus.", "B")]
    [InlineData("ablue bus", "B")]
    [InlineData("I think C", "C")]
    [InlineData("", "C")]
    [InlineData("b or d", "BD")]
    [InlineData("zzz", "")]
    [InlineData("D. it is 3.5 m", "D")]
    [InlineData("it is 3.5 m", "")]
    [InlineData("AB", "AB")]
    [InlineData("not sure", "C")]
    public void Of_Answer_IsTheChoiceOfEvaluatePy(string answer, string letter) =>
        Assert.Equal(letter, ChoiceAnswer.Of(AnswerText.Plain(answer), [.. Choices.Select(AnswerText.Plain)]));

    [Theory]
    [InlineData(0, "A")]
    [InlineData(25, "Z")]
    [InlineData(26, "AA")]
    [InlineData(52, "BA")]
    public void Letter_OfChoice_GoesOnBehindZ(int index, string letter) => Assert.Equal(letter, ChoiceAnswer.Letter(index));

    [Theory]
    [InlineData("TextNeedleInAHaystack", "The password is 712.", "712", 1)]
    [InlineData("ImageNeedleInAHaystack", "The password is 7121.", "712", 0)]
    [InlineData("MMCoQA", "The password is 7121.", "712", 1)]
    [InlineData("MMCoQA", "no idea", "712", 0)]
    public void Score_Needle_IsAWordOrAnywhere(string task, string answer, string response, double score) =>
        Assert.Equal(score, MileBenchMetric.Of(task, "open-ended").Score(answer, Sample(response)));

    [Fact]
    public void Score_Choice_IsRightOrWrong()
    {
        MileBenchMetric metric = MileBenchMetric.Of("SlideVQA", "multi-choice");
        Assert.Equal(1, metric.Score("B. A blue bus", Sample("a blue bus")));
        Assert.Equal(0, metric.Score("A", Sample("a blue bus")));
        Assert.Throws<CommandException>(() => metric.Score("A", Sample("a green bike")));
    }

    [Fact]
    public void Of_UnknownType_IsRefused() => Assert.Throws<CommandException>(() => MileBenchMetric.Of("TQA", "drawing"));

    private static MileBenchSample Sample(string response) => new()
    {
        Id = "1",
        Instruction = "",
        Context = "",
        Choices = Choices,
        Response = response,
        PictureCount = 2,
        Combined = false,
        Pictures = [],
    };
}
