namespace FlowMM.KvCache;

/// <summary>
/// Where a layer's entries lie in host memory, for kernels that read and write them without a tensor. Head h, entry n, dimension d of the keys
/// is element <c>(h * Capacity + n) * D + d</c> from <see cref="Keys"/>, in the cache's type; its log-mass is f32 element
/// <c>h * Capacity + n</c> from <see cref="Beta"/>. Valid until the cache grows, is compressed or is disposed.
/// </summary>
/// <param name="Keys">[G, C, D].</param>
/// <param name="Values">[G, C, D].</param>
/// <param name="Beta">[G, C] f32; all 0 unless the layer <see cref="LayerCache.HasMass"/>.</param>
/// <param name="Length">Entries held, N.</param>
/// <param name="Capacity">Entries from one head to the next, C.</param>
public readonly record struct EntryPointers(nint Keys, nint Values, nint Beta, int Length, int Capacity);
