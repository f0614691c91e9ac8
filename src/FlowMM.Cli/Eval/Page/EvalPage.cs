using System.Text.Json.Nodes;

namespace FlowMM.Cli.Eval.Page;

/// <summary>
/// A run as one self-contained HTML page: style, script, pictures and figures inside, nothing from the network. Figures are data of the page's
/// script, which writes them as text: names of sets and methods never become markup.
/// </summary>
internal static class EvalPage
{
    /// <summary>The text of the page.</summary>
    /// <param name="tables">At least one.</param>
    /// <param name="sample">What was kept of one conversation; null: that part is left out.</param>
    /// <param name="madeWith">Program, model and type.</param>
    public static string Of(IReadOnlyList<MergingTable> tables, PageSample? sample, string madeWith)
    {
        // The serialiser's own encoder writes < and & as escapes, so that no text can end the element.
        string data = new JsonObject { ["report"] = GridJson.Node(tables, madeWith), ["sample"] = sample?.Node() }.ToJsonString();
        return Resource("page.html").Replace("{{style}}", Resource("page.css"), StringComparison.Ordinal)
            .Replace("{{script}}", Resource("page.js"), StringComparison.Ordinal)
            .Replace("{{data}}", data, StringComparison.Ordinal);
    }

    private static string Resource(string name)
    {
        using Stream stream = typeof(EvalPage).Assembly.GetManifestResourceStream($"eval/{name}")!;
        using StreamReader reader = new(stream);
        return reader.ReadToEnd();
    }
}
