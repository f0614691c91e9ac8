using FlowMM.Gateway.Hosting;
using Xunit;

namespace FlowMM.UnitTests.Gateway;

public sealed class GatewayOptionsValidatorTests
{
    [Fact]
    public void Validate_Defaults_Succeed() => Assert.True(new GatewayOptionsValidator().Validate(null, new()).Succeeded);

    [Fact]
    public void Validate_TwoFreePorts_Succeed() =>
        Assert.True(new GatewayOptionsValidator().Validate(null, new() { GrpcPort = 0, HttpPort = 0 }).Succeeded);

    [Fact]
    public void Validate_Wrong_NamesEveryKeyButNoSecret()
    {
        GatewayOptions options = new()
        {
            Address = "everywhere",
            GrpcPort = 80,
            HttpPort = 80,
            Keys = [new() { Tenant = "a/b", KeySha256 = "my-plain-key" }],
        };

        string text = new GatewayOptionsValidator().Validate(null, options).FailureMessage!;

        Assert.All(["Gateway:Address", "Gateway:GrpcPort", "Keys:0:Tenant", "Keys:0:KeySha256"], key => Assert.Contains(key, text, StringComparison.Ordinal));
        Assert.DoesNotContain("my-plain-key", text, StringComparison.Ordinal);
    }
}
