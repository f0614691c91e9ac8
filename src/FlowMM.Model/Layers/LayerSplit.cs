using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>Which device holds which layers of a decoder: contiguous runs, so that rows move from one device to the next once a pass.</summary>
internal static class LayerSplit
{
    /// <summary>The device of each layer, such that all hold about the same number of weights: the first has the embedding too, the last the head.</summary>
    /// <param name="config">Sizes.</param>
    /// <param name="devices">In the order of the layers; the same one may be named once only.</param>
    /// <exception cref="ArgumentException">There is no device, one is named twice, or there are more than layers.</exception>
    public static IReadOnlyList<Device> Of(DecoderConfig config, IReadOnlyList<Device> devices)
    {
        (int layers, int count) = (config.Layers, devices.Count);
        if (count == 0 || count > layers || devices.DistinctBy(KvMemory.Identity).Count() < count)
        {
            throw new ArgumentException($"A decoder of {layers} layers is split over 1 to {layers} different devices, not over [{string.Join(", ", devices.Select(d => KvMemory.Identity(d)))}].", nameof(devices));
        }

        double vocabulary = (double)config.Vocabulary * config.Width, layer = LayerWeights(config), head = config.TiedEmbeddings && SharesMemory(devices[0], devices[^1]) ? 0 : vocabulary;
        double all = vocabulary + (layers * layer) + head;
        Device[] split = new Device[layers];
        int at = -1;
        for (int i = 0; i < layers; i++)
        {
            int balanced = (int)(count * (vocabulary + ((i + 0.5) * layer)) / all);

            // None is left out: enough layers must be left for those that follow.
            at = Math.Clamp(balanced, Math.Max(at, count - (layers - i)), at + 1);
            split[i] = devices[at];
        }

        return split;
    }

    /// <summary>True when tensors of one need not be copied for the other. Several devices of the CPU are names for parts of its memory.</summary>
    public static bool SharesMemory(Device one, Device other) => one.type == DeviceType.CPU ? other.type == DeviceType.CPU : KvMemory.Identity(one) == KvMemory.Identity(other);

    private static double LayerWeights(DecoderConfig config) =>
        ((double)config.Width * config.HeadDim * 2 * (config.QueryHeads + config.KvHeads)) + (3.0 * config.Width * config.MlpWidth);
}
