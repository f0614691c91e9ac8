namespace FlowMM.KvCache;

/// <summary>The methods that exist, by name. A new one is one class and one line here.</summary>
public static class MergePolicies
{
    /// <summary>All methods, in the order that tables show them.</summary>
    public static IReadOnlyList<IMergePolicy> All { get; } =
    [
        new FullPolicy(),
        new StreamingPolicy(),
        new HeavyHitterPolicy(),
        new SnapKvPolicy("snapkv", pyramid: false),
        new SnapKvPolicy("pyramidkv", pyramid: true),
        new LookMPolicy(),
        new D2OPolicy(),
        new KvMergerPolicy(),
        new FlowMMPolicy(),
    ];

    /// <summary>Their names.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. All.Select(p => p.Name)];

    /// <summary>The method of a name, or null.</summary>
    /// <param name="name">Lower case.</param>
    public static IMergePolicy? Find(string name) => All.FirstOrDefault(p => p.Name == name);
}
