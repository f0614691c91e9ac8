using System.Runtime.InteropServices;

namespace FlowMM.KvCache;

/// <summary>What must hold between the parts of an image: digests prove that bytes are those written, not that a writer was sound.</summary>
internal static class ImageCheck
{
    /// <exception cref="SnapshotRefusedException">The parts contradict each other.</exception>
    internal static void Require(SessionImage image)
    {
        int tokens = 0;
        foreach (SessionSegment segment in image.Segments)
        {
            bool follows = segment.Position == tokens && segment.Tokens > 0 && segment.Tokens <= image.Tokens - tokens;
            Demand(follows && segment.Lengths.All(l => l >= 0 && l <= segment.Tokens), "the segment table has gaps");
            tokens += segment.Tokens;
        }

        // What follows the last segment was not compressed: every layer holds it whole.
        for (int layer = 0; layer < image.Layers.Count; layer++)
        {
            LayerImage held = image.Layers[layer];
            long final = image.Segments.Sum(s => (long)s.Lengths[layer]);
            Demand(held.Length == final + image.Tokens - tokens, "a layer's length is not that of its segments and tail");
            Demand(held.FixedLength <= final, "a layer has more final entries than its segments");
            Entries(held, image.Tokens);
        }

        for (int i = 0; i < image.Shifts.Count; i++)
        {
            PositionShift shift = image.Shifts[i];
            bool follows = i == 0 || shift.Token > image.Shifts[i - 1].Token;
            Demand(follows && shift.Token > 0 && shift.Token <= image.Tokens && Math.Abs((long)shift.Amount) <= image.Tokens, "the position shifts do not ascend");
        }

        Demand(image.Frozen <= tokens, "more tokens are frozen than its segments hold");
    }

    private static void Entries(LayerImage layer, int tokens)
    {
        Demand(!MemoryMarshal.Cast<byte, int>(layer.Positions).ContainsAnyExceptInRange(0, tokens - 1), "a position is outside the conversation");
        Demand(!MemoryMarshal.Cast<byte, int>(layer.Counts).ContainsAnyExceptInRange(1, tokens), "an entry stands for no token or too many");
        Demand(!layer.Modalities.ContainsAnyExceptInRange((byte)0, (byte)1), "a modality is neither text nor visual");
        foreach (float beta in MemoryMarshal.Cast<byte, float>(layer.Beta))
        {
            Demand(float.IsFinite(beta), "a log-mass is not finite");
        }
    }

    private static void Demand(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new SnapshotRefusedException(SnapshotRefusal.Malformed, $"The snapshot is malformed: {otherwise}.");
        }
    }
}
