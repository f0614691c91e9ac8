namespace FlowMM.KvCache;

/// <summary>What a <see cref="TailObserver"/> has seen, in host memory: another that takes it goes on as this one would. Nothing changes it.</summary>
/// <param name="Recent">The newest rows, one ring a layer.</param>
/// <param name="Samples">The sampled rows, one ring a layer.</param>
public sealed record TailRows(IReadOnlyList<RingRows> Recent, IReadOnlyList<RingRows> Samples);

/// <summary>The rows of one ring.</summary>
/// <param name="Positions">Logical index of each place; -1 where there is none.</param>
/// <param name="Next">The place that is overwritten next.</param>
/// <param name="Rows">[H, places, D] f32, little-endian; empty when no row has come.</param>
public sealed record RingRows(IReadOnlyList<int> Positions, int Next, ReadOnlyMemory<byte> Rows);
