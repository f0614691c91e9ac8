namespace FlowMM.Model.Weights;

/// <summary>
/// How a part of a model (decoder, head, tower, projector) is spelt in the files: the first layout whose <paramref name="Probe"/> is there.
/// </summary>
/// <param name="Probe">A tensor that the part always has, as the layers ask for it.</param>
/// <param name="Layouts">Published spellings.</param>
internal sealed record PartNames(string Probe, params PartLayout[] Layouts)
{
    /// <summary>Spellings that differ by what stands in front alone.</summary>
    public static PartNames Prefixed(string probe, params string[] prefixes) => new(probe, [.. prefixes.Select(p => new PartLayout(p))]);
}

/// <summary>One spelling.</summary>
/// <param name="Prefix">What stands in front of every name.</param>
/// <param name="Renames">Pieces of a name that are spelt otherwise; all that occur are replaced, in order.</param>
internal sealed record PartLayout(string Prefix, params Rename[] Renames)
{
    /// <summary>Where the files hold what the layers call <paramref name="name"/>.</summary>
    public WeightPlace Find(string name)
    {
        (int part, int parts) = (0, 1);
        foreach (Rename rename in Renames.Where(r => name.Contains(r.From, StringComparison.Ordinal)))
        {
            name = name.Replace(rename.From, rename.To, StringComparison.Ordinal);
            (part, parts) = rename.Parts > 1 ? (rename.Part, rename.Parts) : (part, parts);
        }

        return new WeightPlace(Prefix + name, part, parts);
    }
}

/// <summary>A piece of a name that a layout spells otherwise, or that it keeps together with others in one tensor.</summary>
/// <param name="From">As the layers ask.</param>
/// <param name="To">As the files spell it.</param>
/// <param name="Part">Which of equal parts of the rows is meant, from 0.</param>
/// <param name="Parts">How many equal parts the tensor holds.</param>
internal sealed record Rename(string From, string To, int Part = 0, int Parts = 1);

/// <summary>A tensor of the files, or some of its rows.</summary>
/// <param name="Name">The tensor.</param>
/// <param name="Part">Which of equal parts of the rows.</param>
/// <param name="Parts">How many parts.</param>
internal readonly record struct WeightPlace(string Name, int Part, int Parts);
