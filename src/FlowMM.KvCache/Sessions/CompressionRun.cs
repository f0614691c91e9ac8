using System.Diagnostics;

namespace FlowMM.KvCache;

/// <summary>The reports of one segment while its layers pass.</summary>
internal sealed class CompressionRun(SessionCache cache, int position, int tokens)
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly long _bytes = cache.Bytes;
    private readonly List<LayerReport> _layers = [];

    internal void Add(int layer, int entries, CompressedLayer compressed)
    {
        int dropped = compressed.Assign.Sum(head => head.AsSpan().Count(-1));
        _layers.Add(new LayerReport
        {
            Layer = layer,
            Flow = compressed.Statistics.Flow,
            Inter = compressed.Statistics.Inter,
            Entries = entries,
            Kept = compressed.Length,
            Merged = ((entries - compressed.Length) * compressed.Assign.Length) - dropped,
            Dropped = dropped,
            DroppedMass = compressed.DroppedMass.Average(),
            Time = compressed.Time,
        });
    }

    internal CompressionOutcome Outcome() => new()
    {
        Position = position,
        Tokens = tokens,
        Layers = _layers,
        BytesBefore = _bytes,
        BytesAfter = cache.Bytes,
        Milliseconds = Stopwatch.GetElapsedTime(_start).TotalMilliseconds,
    };
}
