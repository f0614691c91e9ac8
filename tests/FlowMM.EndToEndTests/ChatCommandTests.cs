using System.Text.Json;
using FlowMM.EndToEndTests.Testing;
using Xunit;

namespace FlowMM.EndToEndTests;

/// <summary>The README's first command, as a process.</summary>
public sealed class ChatCommandTests
{
    [Theory]
    [InlineData("dress", "a white dress")]
    [InlineData("bag", "a red bag")]
    [InlineData("boot", "a yellow boot")]
    [InlineData("circles", "three red circles")]
    [InlineData("cross", "one orange cross")]
    [InlineData("number", "the number 489")]
    public async Task Chat_SamplePicture_IsNamed(string sample, string answer)
    {
        (int exit, string output, string errors) = await ChatAsync("--image", Checkout.Sample(sample), "What is this?");
        Assert.True(exit == 0, errors);
        Assert.Equal(answer, output.Trim());
    }

    [Fact]
    public async Task Chat_Json_PrintsOneObject()
    {
        (int exit, string output, string errors) = await ChatAsync("--json", "--image", Checkout.Sample("bag"), "What is this?");
        Assert.True(exit == 0, errors);
        JsonElement answer = JsonDocument.Parse(output).RootElement;
        Assert.Equal("a red bag", answer.GetProperty("text").GetString());
        Assert.Equal(16, answer.GetProperty("usage").GetProperty("image_tokens").GetInt32());
        Assert.Equal("new", answer.GetProperty("provenance").GetProperty("source").GetString());
    }

    [Fact]
    public async Task Chat_SeveralPictures_AreToldApart()
    {
        (int exit, string output, string errors) = await ChatAsync(
            "--image", Checkout.Sample("bag"), "--image", Checkout.Sample("circles"), "What is in image 2?");
        Assert.True(exit == 0, errors);
        Assert.Equal("three red circles", output.Trim());
    }

    [Fact]
    public async Task Chat_FileThatIsNoPicture_FailsInOneLine()
    {
        (int exit, string output, string errors) = await ChatAsync("--image", Checkout.At("README.md"), "What is this?");
        Assert.Equal(1, exit);
        Assert.Empty(output);
        Assert.Single(errors.Trim().Split('\n'));
        Assert.Contains("picture", errors, StringComparison.Ordinal);
    }

    private static async Task<(int ExitCode, string Output, string Errors)> ChatAsync(params string[] arguments)
    {
        using TemporaryFolder data = new();
        return await RunningProgram.RunAsync(Flowmm.Program, ["chat", "--data", data.Path, .. arguments]);
    }
}
