using System.Globalization;
using FlowMM.Model.Configuration;
using FlowMM.Model.Layers;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Model.Layers;

public sealed class LayerSplitTests
{
    [Theory]
    [InlineData("cpu", "AAAAAAAA")]
    [InlineData("cpu:0 cpu:1", "AAAABBBB")]
    [InlineData("cuda:0 cuda:1 cuda:2", "AAABBCCC")]
    [InlineData("cuda:0 cuda:1 cuda:2 cuda:3 cuda:4 cuda:5 cuda:6 cuda:7", "ABCDEFGH")]
    public void Of_LayersThatOutweighTheRest_GivesEqualRuns(string devices, string expected) =>
        Assert.Equal(expected, Split(Config(8, vocabulary: 1, tied: false), devices));

    [Theory]
    [InlineData(true, "cpu:0 cpu:1", "AABBBBBB")]
    [InlineData(true, "cuda:0 cuda:1", "AAAABBBB")]
    [InlineData(false, "cuda:0 cuda:1", "AAAABBBB")]
    [InlineData(false, "cuda:0 cuda:1 cuda:2", "ABBBBBBC")]
    public void Of_HeavyVocabulary_GivesFewerLayersToItsDevice(bool tied, string devices, string expected) =>
        Assert.Equal(expected, Split(Config(8, vocabulary: tied ? 4 : 12, tied), devices));

    [Theory]
    [InlineData("")]
    [InlineData("cpu:0 cpu:1 cpu:2")]
    [InlineData("cuda:1 cuda:1")]
    [InlineData("cuda cuda:0")]
    public void Of_DevicesThatDoNotFit_Refuses(string devices) =>
        Assert.Throws<ArgumentException>(() => Split(Config(2, vocabulary: 1, tied: true), devices));

    private static string Split(DecoderConfig config, string devices)
    {
        Device[] all = [.. devices.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Named)];
        return string.Concat(LayerSplit.Of(config, all).Select(d => (char)('A' + Array.FindIndex(all, a => ReferenceEquals(a, d)))));
    }

    /// <summary>A device by its name, whether it is here or not.</summary>
    private static Device Named(string name)
    {
        string[] parts = name.Split(':');
        return new Device(parts[0] == "cpu" ? DeviceType.CPU : DeviceType.CUDA, parts.Length > 1 ? int.Parse(parts[1], CultureInfo.InvariantCulture) : -1);
    }

    /// <summary>Layers of 5 * 64 * 64 weights; a vocabulary that weighs as much as some of them.</summary>
    private static DecoderConfig Config(int layers, int vocabulary, bool tied) => new()
    {
        Layers = layers,
        Width = 64,
        QueryHeads = 1,
        KvHeads = 1,
        HeadDim = 32,
        MlpWidth = 64,
        Vocabulary = vocabulary == 1 ? 1 : vocabulary * 5 * 64,
        MaxPositions = 64,
        NormEpsilon = 1e-6,
        Rope = null!,
        TiedEmbeddings = tied,
        QkvBias = false,
        OutputBias = false,
        QkNorm = false,
    };
}
