using System.ComponentModel.DataAnnotations;
using FlowMM.Silo.Rebalancing;
using Microsoft.Extensions.Configuration;
using Xunit;

namespace FlowMM.UnitTests.Silo.Rebalancing;

public sealed class RebalanceOptionsTests
{
    [Theory]
    [InlineData("Enabled", "true", true)]
    [InlineData("MaxPerMinute", "600", true)]
    [InlineData("MaxPerMinute", "0", false)]
    [InlineData("Threshold", "0.01", true)]
    [InlineData("Threshold", "0", false)]
    [InlineData("Threshold", "1.5", false)]
    [InlineData("Prefer", "hottest", true)]
    [InlineData("Prefer", "7", false)]
    [InlineData("Rest", "00:00:05", true)]
    [InlineData("Rest", "00:00:00", false)]
    public void Validate_Value_NamesTheKeyWhenItIsWrong(string key, string value, bool valid)
    {
        RebalanceOptions options = new ConfigurationBuilder().AddInMemoryCollection([KeyValuePair.Create(key, (string?)value)]).Build().Get<RebalanceOptions>()!;
        List<ValidationResult> problems = [];
        Assert.Equal(valid, Validator.TryValidateObject(options, new ValidationContext(options), problems, validateAllProperties: true));
        Assert.All(problems, p => Assert.StartsWith($"FlowMM:Rebalance:{key} ", p.ErrorMessage, StringComparison.Ordinal));
    }

    [Fact]
    public void Default_IsOffAndOneMoveInTwoSeconds()
    {
        RebalanceOptions options = new();
        Assert.Equal((false, TimeSpan.FromSeconds(2), RebalancePreference.Idlest), (options.Enabled, options.Spacing, options.Prefer));
    }
}
