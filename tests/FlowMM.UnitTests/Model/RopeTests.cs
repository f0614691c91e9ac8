using FlowMM.Model.Configuration;
using FlowMM.Model.Layers;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Model;

/// <summary>Frequencies against values of the published formulas, computed apart in another language.</summary>
public sealed class RopeTests
{
    [Fact]
    public void Of_Llama3_BlendsBetweenTheBounds() => Near(
        [1.0, 0.07940301, 0.004700754, 0.0009115831, 0.00017677668, 3.4281024e-05, 6.64787e-06, 1.2891732e-06],
        RopeFrequencies.Of(new RopeConfig { Theta = 500000, Type = "llama3", Factor = 8, OriginalPositions = 64 }, 16));

    [Fact]
    public void Of_Linear_DividesAll() => Near(
        [0.25, 0.025, 0.0025, 0.00025], RopeFrequencies.Of(new RopeConfig { Theta = 10000, Type = "linear", Factor = 4 }, 8));

    [Fact]
    public void Of_Yarn_KeepsFastAndDividesSlowDimensions()
    {
        float[] found = RopeFrequencies.Of(new RopeConfig { Theta = 1e6, Type = "yarn", Factor = 4, OriginalPositions = 32768 }, 128);
        Near(
            [1.0, 0.006978305988013744, 0.005375321488827467, 0.001064361073076725, 6.490394298452884e-05, 4.4456985051510856e-05, 3.102344408034696e-07],
            [found[0], found[23], found[24], found[30], found[39], found[40], found[63]]);
        Near(
            [1.0, 0.2569350600242615, 0.0625, 0.013834965415298939, 0.0024999999441206455, 0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-05],
            RopeFrequencies.Of(new RopeConfig { Theta = 10000, Type = "yarn", Factor = 4, OriginalPositions = 256 }, 16));
    }

    [Fact]
    public void Dynamic_AtTheOriginalLength_IsUnscaled()
    {
        RopeConfig config = new() { Theta = 10000, Type = "dynamic", Factor = 2, OriginalPositions = 100 };
        Near([.. RopeFrequencies.Of(config, 8).Select(f => (double)f)], RopeFrequencies.Dynamic(config, 8, 100));

        // At twice the length theta is 10000 * 3^(8/6): the slowest dimension turns slower by 3^(8/6 * 6/8).
        Assert.Equal(1e-3 / 3, RopeFrequencies.Dynamic(config, 8, 200)[3], 1e-8);
    }

    [Fact]
    public void Run_DynamicPastTheOriginalLength_DoesNotDependOnTheTableSize()
    {
        RopeConfig config = new() { Theta = 10000, Type = "dynamic", Factor = 8, OriginalPositions = 200 };
        using DisposeScope scope = NewDisposeScope();
        using Rope early = new(config, 8, CPU, float32), late = new(config, 8, CPU, float32);
        Tensor one = early.Run(250, 3).Cos;
        late.Reach(1000);
        Assert.True(one.equal(late.Run(250, 3).Cos).all().item<bool>());
    }

    [Fact]
    public void Run_Yarn_ScalesCosinesAndSines()
    {
        RopeConfig config = new() { Theta = 10000, Type = "yarn", Factor = 4, OriginalPositions = 256, Attention = 1.25 };
        using DisposeScope scope = NewDisposeScope();
        using Rope rope = new(config, 16, CPU, float32);
        Assert.Equal(1.25f, rope.Run(0, 1).Cos[0, 0, 0].item<float>());
    }

    private static void Near(double[] expected, float[] found)
    {
        Assert.Equal(expected.Length, found.Length);
        Assert.All(expected.Zip(found), p => Assert.Equal(p.First, p.Second, p.First * 2e-6));
    }
}
