using System.CommandLine;
using FlowMM.Cli;
using FlowMM.Cli.Chat;
using Xunit;

namespace FlowMM.UnitTests.Cli;

public sealed class ChatArgumentsTests
{
    [Fact]
    public void Read_PicturesThenPrompt_KeepsBothApart()
    {
        ChatSettings settings = Read("--image", "a.png", "--image", "b.png", "What is this?");

        Assert.Equal(["a.png", "b.png"], settings.Images);
        Assert.Equal("What is this?", settings.Prompt);
        Assert.False(settings.Sampling.HasTemperature);
        Assert.False(settings.Merging.HasMethod);
    }

    [Fact]
    public void Read_Options_AreCarried()
    {
        ChatSettings settings = Read("hi", "--temperature", "0.5", "--max-tokens", "9", "--seed", "18446744073709551615", "--method", "flowmm", "--budget", "0.2");

        Assert.Equal((0.5, 9, ulong.MaxValue), (settings.Sampling.Temperature, settings.Sampling.MaxTokens, settings.Sampling.Seed));
        Assert.Equal(("flowmm", 0.2), (settings.Merging.Method, settings.Merging.BudgetRatio));
    }

    [Theory]
    [InlineData("127.0.0.1:5080", "http://127.0.0.1:5080/")]
    [InlineData("localhost:1", "http://localhost:1/")]
    [InlineData("https://gateway.example:443", "https://gateway.example/")]
    public void Address_Good_Read(string text, string address) => Assert.Equal(address, ChatArguments.Address(text).ToString());

    [Theory]
    [InlineData(":::")]
    [InlineData("")]
    [InlineData("ftp://x:1")]
    [InlineData("host:port")]
    public void Address_Bad_IsUsage(string text) => Assert.Throws<UsageException>(() => ChatArguments.Address(text));

    [Fact]
    public void Read_JsonWithoutPrompt_IsUsage() => Assert.Throws<UsageException>(() => Read("--json"));

    [Fact]
    public void Read_AddressAndModel_IsUsage() => Assert.Throws<UsageException>(() => Read("hi", "--address", "h:1", "--model", "m"));

    [Fact]
    public void Read_KeyVariableNotSet_NamesIt() =>
        Assert.Contains("FLOWMM_NO_SUCH_KEY", Assert.Throws<UsageException>(() => Read("hi", "--api-key", "FLOWMM_NO_SUCH_KEY")).Message, StringComparison.Ordinal);

    [Fact]
    public void Parse_MisspeltOption_IsAnError()
    {
        Command command = new("chat");
        new ChatArguments().AddTo(command);

        Assert.Contains(command.Parse(["--imgae"]).Errors, error => error.Message.Contains("--imgae", StringComparison.Ordinal));
    }

    private static ChatSettings Read(params string[] arguments)
    {
        ChatArguments chat = new();
        Command command = new("chat");
        chat.AddTo(command);
        return chat.Read(command.Parse(arguments));
    }
}
