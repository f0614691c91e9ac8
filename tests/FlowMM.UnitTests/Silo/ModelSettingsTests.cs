using System.ComponentModel.DataAnnotations;
using FlowMM.Silo.Hosting;
using Microsoft.Extensions.Configuration;
using Xunit;

namespace FlowMM.UnitTests.Silo;

public sealed class ModelSettingsTests
{
    [Theory]
    [InlineData("", null)]
    [InlineData("cpu:0 cpu:1", null)]
    [InlineData("cuda:0 cuda:7", null)]
    [InlineData("cuda:0 gpu", "FlowMM:Model:Devices:1")]
    [InlineData("cpu:", "FlowMM:Model:Devices:0")]
    [InlineData("cuda:0 cuda:1 cuda:0", "FlowMM:Model:Devices:2")]
    public void Validate_Devices_NamesTheWrongKey(string devices, string? wrong)
    {
        IConfiguration configuration = new ConfigurationBuilder().AddInMemoryCollection(
            devices.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select((d, i) => KeyValuePair.Create($"Devices:{i}", (string?)d)).Append(new("Path", "here"))).Build();
        ModelSettings settings = configuration.Get<ModelSettings>()!;
        List<ValidationResult> problems = [];
        bool valid = Validator.TryValidateObject(settings, new ValidationContext(settings), problems, validateAllProperties: true);
        Assert.Equal(wrong is null, valid);
        Assert.All(problems, p => Assert.StartsWith(wrong!, p.ErrorMessage, StringComparison.Ordinal));
    }
}
