using FlowMM.Silo.Files;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Silo.Files;

public sealed class CallerSilenceTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromHours(1);

    private readonly EagerTime _time = new();

    [Fact]
    public void Lasts_CallerSaysNothing_FromThePatienceOn()
    {
        CallerSilence silence = new(_time);
        silence.Begin();
        _time.Pass(Patience / 2);
        Assert.False(silence.Lasts(Patience));
        _time.Pass(Patience / 2);
        Assert.True(silence.Lasts(Patience));
    }

    [Fact]
    public void Lasts_NodeIsBusyForLonger_IsNot()
    {
        CallerSilence silence = new(_time);
        silence.Begin();
        silence.End();
        _time.Pass(2 * Patience);
        Assert.False(silence.Lasts(Patience));
        silence.Begin();
        Assert.False(silence.Lasts(Patience));
    }
}
