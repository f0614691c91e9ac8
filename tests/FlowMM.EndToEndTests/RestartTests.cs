using FlowMM.EndToEndTests.Testing;
using FlowMM.Inference.V1;
using Xunit;

namespace FlowMM.EndToEndTests;

/// <summary>A conversation outlives the process that held it.</summary>
public sealed class RestartTests
{
    [Fact]
    public async Task Serve_KilledBetweenTurns_AnswersAboutTheFirstPicture()
    {
        using TemporaryFolder data = new();
        string session;
        await using (Standalone before = await Standalone.StartAsync(data.Path))
        {
            using GatewayClient client = new(before.Address);
            session = await client.CreateAsync();
            Turn first = await client.AskAsync(
                session, GatewayClient.Picture(await File.ReadAllBytesAsync(Checkout.Sample("boot"))), GatewayClient.Text("What is this?"));
            Assert.Equal("a yellow boot", first.Text);
            await before.KillAsync();
        }

        await using Standalone after = await Standalone.StartAsync(data.Path);
        using GatewayClient again = new(after.Address);
        Turn second = await again.AskAsync(session, GatewayClient.Text("What colour is the image?"));
        Assert.Equal("yellow", second.Text);
        Assert.Equal(2, second.Index);
        Assert.Equal(Source.Replayed, second.Provenance.Source);
        Assert.InRange(second.Provenance.TokensReplayed, 20, int.MaxValue);
    }
}
