using FlowMM.Silo.Hosting;
using FlowMM.Silo.Snapshots;
using Microsoft.Extensions.Options;
using Xunit;

namespace FlowMM.UnitTests.Silo;

/// <summary>Restoring or replaying, by what both have cost.</summary>
public sealed class RestoreChoiceTests
{
    [Theory, InlineData(RestoreMode.Always, true), InlineData(RestoreMode.Never, false)]
    public void Restores_ModeDecides_WhateverItCost(RestoreMode mode, bool expected)
    {
        RestoreChoice choice = Create(mode);
        Assert.Equal(expected, choice.Restores(1_000_000, 1));
        choice.Restored(1000, expected ? 1e6 : 1e-6);
        choice.Replayed(1000, expected ? 1e-6 : 1e6);
        Assert.Equal(expected, choice.Restores(1000, 1000));
    }

    [Fact]
    public void Restores_OneCostUnknown_Restores()
    {
        RestoreChoice choice = Create();
        Assert.True(choice.Restores(1L << 30, 1));
        choice.Replayed(1000, 1);
        Assert.True(choice.Restores(1L << 30, 1));
    }

    [Fact]
    public void Restores_BothKnown_TakesTheCheaper()
    {
        RestoreChoice choice = Create();
        choice.Restored(1_000_000, 10);
        choice.Replayed(100, 50);
        Assert.True(choice.Restores(1_000_000, 21));
        Assert.False(choice.Restores(1_000_000, 19));
    }

    [Fact]
    public void Replayed_FewTokens_TeachNothing()
    {
        RestoreChoice choice = Create();
        choice.Restored(1_000_000, 10);
        choice.Replayed(15, 1e-9);
        Assert.True(choice.Restores(1_000_000, 1));
    }

    [Fact]
    public void Restored_CostsChange_AreFollowedSlowly()
    {
        RestoreChoice choice = Create();
        choice.Replayed(100, 100);
        choice.Restored(1000, 10);
        choice.Restored(1000, 1000);
        Assert.True(choice.Restores(1000, 209));
        Assert.False(choice.Restores(1000, 207));
    }

    private static RestoreChoice Create(RestoreMode mode = RestoreMode.Cheaper) => new(Options.Create(new SnapshotOptions { Restore = mode }));
}
